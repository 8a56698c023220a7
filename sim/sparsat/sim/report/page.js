"use strict";

const figures = JSON.parse(document.getElementById("figures").textContent);
const config = { responsive: true, displayModeBar: false };

for (const box of document.querySelectorAll("[data-figure]")) {
  const { runs, layout } = figures[box.dataset.figure];
  const buttons = box.parentElement.querySelectorAll("[data-run]");
  const show = (run) => {
    Plotly.react(box, runs[run], layout, config);
    for (const button of buttons) button.setAttribute("aria-pressed", button.dataset.run === run);
  };
  for (const button of buttons) button.addEventListener("click", () => show(button.dataset.run));
  show(Object.keys(runs)[0]);
}

const table = document.getElementById("operations");
const heads = [...table.querySelectorAll("th")];

/** Sort by a column: texts ascend at first, numbers descend; again turns the order round. */
function sortBy(column) {
  const head = heads[column];
  const value = (row) => row.cells[column].dataset.value;
  const rows = [...table.tBodies[0].rows];
  const numeric = rows.every((row) => row.cells[column].classList.contains("number"));
  const before = head.getAttribute("aria-sort");
  const ascending = before ? before === "descending" : !numeric;
  const order = numeric ? (a, b) => value(a) - value(b) : (a, b) => value(a).localeCompare(value(b), "en", { numeric: true });
  rows.sort((a, b) => (ascending ? order(a, b) : order(b, a)));
  for (const other of heads) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
  table.tBodies[0].append(...rows);
}

heads.forEach((head, column) => head.addEventListener("click", () => sortBy(column)));
