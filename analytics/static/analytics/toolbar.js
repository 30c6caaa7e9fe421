// The pickers: a list that is applied as soon as something is chosen. Without JavaScript the button does it.
"use strict";

for (const form of document.querySelectorAll("form[data-submit-on-change]")) {
  form.querySelector("button").hidden = true;
  let byKeyboard = false;
  const select = form.querySelector("select");
  // Arrow keys change a closed list at each step: wait for Enter or for the focus to leave.
  select.addEventListener("keydown", (event) => {
    byKeyboard = event.key !== "Enter";
    if (event.key === "Enter") form.requestSubmit();
  });
  select.addEventListener("pointerdown", () => { byKeyboard = false; });
  select.addEventListener("change", () => { if (!byKeyboard) form.requestSubmit(); });
  const before = select.value;
  select.addEventListener("blur", () => { if (byKeyboard && select.value !== before) form.requestSubmit(); });
}
