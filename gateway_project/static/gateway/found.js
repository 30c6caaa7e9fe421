// The checkboxes of names found: filter, tick all, switch the mode when one is ticked, follow the chosen upstream.
"use strict";

function part(box) {
  return box.dataset.part;
}

function fieldName(box) {
  return box.querySelector(".found-name").name;
}

function modeOf(box) {
  return box.closest("form").elements[fieldName(box).replace(/_found$/, "_mode")];
}

function sourceOf(box) {
  const scope = box.dataset.source === "namespace" ? box.closest(".inline-related") : box.closest("form");
  return scope ? scope.querySelector(`select[name$="-${box.dataset.source}"]`) : null;
}

function boxes(box) {
  return [...box.querySelectorAll(".found-items input[type=checkbox]")];
}

function count(box) {
  const all = boxes(box);
  const mode = modeOf(box);
  const ticked = all.filter((input) => input.checked).length;
  box.querySelector(".found-tools").hidden = all.length < 2;
  box.querySelector(".found-count").textContent = `${ticked} of ${all.length} ticked`;
  box.classList.toggle("idle", Boolean(mode) && mode.value !== "listed");
}

function switchToListed(box) {
  const mode = modeOf(box);
  if (mode && mode.value !== "listed") {
    mode.value = "listed";
  }
}

function filter(box, text) {
  const wanted = text.trim().toLowerCase();
  for (const item of box.querySelectorAll(".found-item")) {
    item.hidden = !item.textContent.toLowerCase().includes(wanted);
  }
}

async function reload(box) {
  const source = sourceOf(box);
  const kept = new Set(boxes(box).filter((input) => input.checked).map((input) => input.value));
  const query = new URLSearchParams({ part: part(box), name: fieldName(box) });
  if (source && source.value) {
    query.set(box.dataset.source, source.value);
  }
  const response = await fetch(`${box.dataset.url}?${query}`, { headers: { Accept: "text/html" } });
  if (!response.ok) {
    return;
  }
  box.querySelector(".found-items").innerHTML = await response.text();
  for (const input of boxes(box)) {
    input.checked = kept.has(input.value);
  }
  count(box);
}

document.addEventListener("change", (event) => {
  const target = event.target;
  if (target.matches(".found-items input[type=checkbox]")) {
    const box = target.closest(".found");
    if (target.checked) {
      switchToListed(box);
    }
    count(box);
  } else if (target.matches("select[name$='_mode']")) {
    document.querySelectorAll(".found").forEach(count);
  } else if (target.matches("select[name$='-upstream'], select[name$='-namespace']")) {
    document.querySelectorAll(".found").forEach((box) => sourceOf(box) === target && reload(box));
  }
});

document.addEventListener("input", (event) => {
  if (event.target.matches(".found-filter")) {
    filter(event.target.closest(".found"), event.target.value);
  }
});

document.addEventListener("click", (event) => {
  const button = event.target.closest(".found-all, .found-none");
  if (!button) {
    return;
  }
  const box = button.closest(".found");
  const ticking = button.classList.contains("found-all");
  for (const input of boxes(box)) {
    if (!input.closest(".found-item").hidden) {
      input.checked = ticking;
    }
  }
  if (ticking) {
    switchToListed(box);
  }
  count(box);
});

document.addEventListener("formset:added", () => document.querySelectorAll(".found").forEach(count));
document.addEventListener("DOMContentLoaded", () => document.querySelectorAll(".found").forEach(count));
