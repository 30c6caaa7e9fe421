// Names for who does not see them: fields of the stock admin that stand beside their label without being tied to it.
"use strict";

(function () {
  // Fields that are searched (select2): its boxes have no name while nothing is chosen.
  function nameSearched(select) {
    const label = select.id && document.querySelector(`label[for="${CSS.escape(select.id)}"]`);
    const drawn = select.nextElementSibling;
    if (!label || !drawn) return;
    label.id = label.id || `${select.id}_label`;
    for (const box of drawn.querySelectorAll("[role=combobox], [role=textbox]")) {
      const named = (box.getAttribute("aria-labelledby") || "").split(" ").filter((id) => id && id !== label.id);
      box.setAttribute("aria-labelledby", [label.id, ...named].join(" "));
    }
  }

  // The two halves of a moment.
  function nameHalf(input) {
    const row = input.closest(".form-row");
    const label = row && row.querySelector("legend, label");
    const half = input.classList.contains("vTimeField") ? "time" : "date";
    input.setAttribute("aria-label", label ? `${label.textContent.trim().replace(/:$/, "")}, ${half}` : half);
  }

  function nameAll() {
    document.querySelectorAll("select.admin-autocomplete").forEach(nameSearched);
    document.querySelectorAll("input.vDateField, input.vTimeField").forEach(nameHalf);
    const search = document.getElementById("searchbar");  // its label is a picture
    if (search) search.setAttribute("aria-label", "Search");
  }

  // After Django's own scripts, which draw the fields when the page is ready, in the order in which they asked.
  const jQuery = window.django && window.django.jQuery;
  if (jQuery) jQuery(nameAll);
  window.addEventListener("load", nameAll);
})();
