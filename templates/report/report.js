// Order, filter and unfold the lanes. The page says everything without it, too.
"use strict";
const lanes = document.getElementById("lanes");
const nodes = [...lanes.querySelectorAll("details.node")];
const find = document.getElementById("find");
const order = document.getElementById("order");
const number = (node, key) => Number(node.dataset[key]);
const orders = {
  slowest: (a, b) => number(b, "rank") - number(a, "rank") || number(b, "end") - number(a, "end"),
  configured: (a, b) => number(a, "configured") - number(b, "configured"),
  name: (a, b) => a.dataset.name.localeCompare(b.dataset.name, undefined, { numeric: true }),
};
find.addEventListener("input", () => {
  const wanted = find.value.trim().toLowerCase();
  for (const node of nodes) node.hidden = !node.textContent.toLowerCase().includes(wanted);
});
order.addEventListener("change", () => lanes.append(...nodes.sort(orders[order.value])));
document.getElementById("unfold").addEventListener("click", () => {
  const open = nodes.some((node) => !node.hidden && !node.open);
  for (const node of nodes) node.open = open;
});
document.getElementById("tools").hidden = false;
