// Copy buttons, and the page that shows a key once: a reload leads to the key's own page instead of issuing another.
"use strict";

function showCopied(button) {
  const label = button.textContent;
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = label; }, 1500);
}

async function copy(text) {
  if (navigator.clipboard && window.isSecureContext) {
    await navigator.clipboard.writeText(text);
    return;
  }
  // Plain http on another host has no clipboard API.
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "off-screen";
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

for (const button of document.querySelectorAll("button.copy")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    await copy(document.getElementById(button.dataset.copy).textContent);
    showCopied(button);
  });
}

const shownOnce = document.querySelector("[data-after]");
if (shownOnce) {
  history.replaceState(null, "", shownOnce.dataset.after);
}
