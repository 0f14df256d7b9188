"use strict";
for (const button of document.querySelectorAll("[data-zoom]")) {
  button.addEventListener("click", () => {
    const dialog = document.getElementById("zoom"), small = button.querySelector("img");
    const large = dialog.querySelector("img");
    large.src = small.src;
    large.alt = dialog.querySelector("p").textContent = small.alt;
    dialog.showModal();
  });
}
document.querySelector("[data-close]").addEventListener("click", (event) => {
  event.target.closest("dialog").close();
});
for (const button of document.querySelectorAll("[data-sort]")) {
  button.addEventListener("click", () => {
    const header = button.closest("th"), table = header.closest("table"), body = table.tBodies[0];
    const column = header.cellIndex, falling = header.getAttribute("aria-sort") === "ascending";
    for (const other of table.querySelectorAll("th[aria-sort]")) other.setAttribute("aria-sort", "none");
    header.setAttribute("aria-sort", falling ? "descending" : "ascending");
    const text = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
    const number = (row) => parseFloat(text(row).replace("−", "-"));
    const compare = (a, b) => {
      const x = number(a), y = number(b);
      if (Number.isNaN(x) && Number.isNaN(y)) return text(a).localeCompare(text(b));
      return Number.isNaN(x) ? 1 : Number.isNaN(y) ? -1 : x - y;
    };
    const rows = [...body.rows].sort(compare);
    body.append(...(falling ? rows.reverse() : rows));
  });
}
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
});
