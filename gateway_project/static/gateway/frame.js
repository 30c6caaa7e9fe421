// What every page does beside its purpose: times in the viewer's zone on hover, menus that close, rows that are links.
"use strict";

{
  const zoned = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });

  // UTC stands on the page; the viewer's own zone is one hover away.
  document.addEventListener("mouseover", (event) => {
    const time = event.target.closest?.("time[datetime]");
    if (!time || time.dataset.zoned) return;
    const moment = new Date(time.getAttribute("datetime"));
    if (Number.isNaN(moment.getTime())) return;
    time.dataset.zoned = "yes";
    time.title = zoned.format(moment);
  });

  function closeMenus(except) {
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (menu !== except) menu.open = false;
    }
  }

  document.addEventListener("click", (event) => closeMenus(event.target.closest?.("details.menu")));
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    const menu = document.querySelector("details.menu[open]");
    closeMenus(null);
    menu?.querySelector("summary")?.focus();
  });

  // A row leads where its first link leads; the link itself stays the way for keyboards and screen readers.
  document.addEventListener("click", (event) => {
    const row = event.target.closest?.("table.rows tbody tr");
    if (!row || event.defaultPrevented || event.button !== 0) return;
    if (event.target.closest("a, button, input, label, summary")) return;
    if (window.getSelection()?.toString()) return; // somebody copies a value
    const link = row.querySelector("a.row-link");
    if (!link) return;
    if (event.ctrlKey || event.metaKey || event.shiftKey) window.open(link.href, "_blank", "noopener");
    else location.assign(link.href);
  });

  // On a phone the navigation scrolls sideways: begin with the present page in sight.
  const current = document.querySelector(".site-nav [aria-current]");
  const strip = current?.closest("ul");
  if (strip && strip.scrollWidth > strip.clientWidth) {
    strip.scrollLeft = current.offsetLeft - (strip.clientWidth - current.offsetWidth) / 2;
  }
}
