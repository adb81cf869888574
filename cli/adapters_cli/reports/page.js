"use strict";
(() => {
  const [list, controls, search, order, show, count] =
    ["list", "controls", "search", "order", "show", "count"].map((id) => document.getElementById(id));
  const items = [...list.children];
  const texts = items.map((item) => item.textContent.toLowerCase());

  function select() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let found = 0;
    items.forEach((item, number) => {
      const kind = show.value === "all" || item.dataset.kind === show.value;
      item.hidden = !kind || !words.every((word) => texts[number].includes(word));
      found += !item.hidden;
    });
    count.textContent = `${found} of ${items.length} items`;
  }

  function sort() {
    const key = order.value.replace("-", "");
    const sign = order.value.startsWith("-") ? -1 : 1;
    const by = (one, other) => sign * (one.dataset[key] - other.dataset[key]);
    list.append(...[...items].sort(by));
  }

  controls.hidden = false;
  search.addEventListener("input", select);
  show.addEventListener("change", select);
  order.addEventListener("change", sort);
  controls.addEventListener("submit", (event) => event.preventDefault());
  select();
})();
