// Light, dark or as the system says. Loaded in the head and at once, so that no page flashes in the wrong colours.
// The admin keeps its choice in the same place.
"use strict";

{
  const THEMES = ["auto", "light", "dark"];
  const root = document.documentElement;

  function stored() {
    try {
      const theme = localStorage.getItem("theme");
      return THEMES.includes(theme) ? theme : "auto";
    } catch {
      return "auto"; // storage may be forbidden
    }
  }

  function show(theme) {
    root.dataset.theme = theme;
    for (const button of document.querySelectorAll("[data-theme-choice]")) {
      button.setAttribute("aria-pressed", String(button.dataset.themeChoice === theme));
    }
    root.dispatchEvent(new CustomEvent("themechange"));
  }

  function choose(theme) {
    try {
      localStorage.setItem("theme", theme);
    } catch {
      // It holds for this page only.
    }
    show(theme);
  }

  root.classList.add("has-script");
  show(stored());
  document.addEventListener("DOMContentLoaded", () => {
    show(stored());
    for (const button of document.querySelectorAll("[data-theme-choice]")) {
      button.addEventListener("click", () => choose(button.dataset.themeChoice));
    }
  });
  window.addEventListener("storage", (event) => {
    if (event.key === "theme") show(stored());
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => show(stored()));
}
