/* Tables can be taken along as CSV, drawings as SVG; what scrolls sideways can be reached by key. */
document.addEventListener("DOMContentLoaded", () => {
  /* Figures are numbered within their chapter. */
  const chapter = document.querySelector("h1 .section-number")?.textContent.trim();
  if (chapter) document.body.style.setProperty("--chapter", JSON.stringify(chapter));
  const page = location.pathname.split("/").pop().replace(".html", "");
  const save = (name, type, text) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };
  const offer = (element, kind, type, text) => {
    const button = document.createElement("button");
    const number = document.querySelectorAll(`.take[data-kind=${kind}]`).length + 1;
    button.type = "button";
    button.className = "take";
    button.dataset.kind = kind;
    button.textContent = kind.toUpperCase();
    button.title = `Save as ${page}-${number}.${kind}`;
    button.addEventListener("click", () => save(`${page}-${number}.${kind}`, type, text()));
    (element.closest("[role=img]:not(svg)") ?? element).after(button);
  };
  const field = (cell) => {
    const text = (cell.querySelector("data")?.value ?? cell.innerText).trim().replace(/\s+/g, " ");
    return /[",]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const csv = (table) => [...table.rows].map((row) => [...row.cells].map(field).join(",")).join("\n") + "\n";
  for (const table of document.querySelectorAll("article table")) offer(table, "csv", "text/csv", () => csv(table));
  for (const drawing of document.querySelectorAll("article figure svg")) {
    offer(drawing, "svg", "image/svg+xml", () => new XMLSerializer().serializeToString(drawing));
  }
  const parts = () => document.querySelectorAll("mjx-container, .cell_output, .cell_output figure, article pre");
  const reach = (part) => {
    part.toggleAttribute("tabindex", false);
    if (part.scrollWidth > part.clientWidth) part.tabIndex = 0;
  };
  /* Their width changes with that of the window, with what is folded, and some frames later, with the columns beside them. */
  const observer = new ResizeObserver((changed) => changed.forEach((entry) => reach(entry.target)));
  parts().forEach((part) => observer.observe(part));
  addEventListener("load", () => Promise.resolve(window.MathJax?.startup?.promise).then(() => parts().forEach(reach)));
  /* Names beside those that can be seen: a screen reader would hear others than are shown. */
  for (const icon of document.querySelectorAll(".theme-switch-button i[title]")) icon.removeAttribute("title");
  for (const entry of document.querySelectorAll(".citation-list, .citation")) entry.removeAttribute("role"); // not in use any more
  for (const summary of document.querySelectorAll("summary[aria-label]")) summary.removeAttribute("aria-label");
});
