/* Small conveniences; every page works without them. No inline handlers: the policy of the site forbids them. */
(function () {
  "use strict";

  document.addEventListener("change", function (event) {
    const form = event.target.closest("form[data-submit-on-change]");
    if (form && !event.target.closest("[data-no-submit]")) form.requestSubmit();
    const all = event.target.closest("[data-select-all]");
    const list = event.target.closest("[data-selectable]");
    if (all && list) list.querySelectorAll("[data-select]").forEach((box) => { box.checked = all.checked; });
    if (list) count(list);
  });

  let last = null;
  document.addEventListener("click", function (event) {
    const box = event.target.closest("[data-select]");
    if (box) {
      const boxes = Array.from(box.closest("[data-selectable]").querySelectorAll("[data-select]"));
      if (event.shiftKey && last && boxes.includes(last)) {
        const [from, to] = [boxes.indexOf(last), boxes.indexOf(box)].sort((a, b) => a - b);
        boxes.slice(from, to + 1).forEach((one) => { one.checked = box.checked; });
        count(box.closest("[data-selectable]"));
      }
      last = box;
    }
    document.querySelectorAll("details.gd-pop[open]").forEach((pop) => {
      if (!pop.contains(event.target)) pop.open = false;
    });
    const copy = event.target.closest("[data-copy]");
    if (copy && navigator.clipboard) {
      navigator.clipboard.writeText(copy.dataset.copy);
      copy.textContent = copy.dataset.copied || "Copied";
    }
  });

  document.addEventListener("keydown", function (event) {
    if (event.key === "Escape") document.querySelectorAll("details.gd-pop[open]").forEach((pop) => { pop.open = false; });
  });

  // a long step says that it runs, and cannot be sent twice
  document.addEventListener("submit", function (event) {
    const form = event.target.closest("form[data-busy]");
    if (!form || event.defaultPrevented) return;
    window.setTimeout(function () {
      form.querySelectorAll("button").forEach((button) => { button.disabled = true; });
      if (event.submitter) event.submitter.textContent = form.dataset.busy;
    }, 0);
  });

  function count(list) {
    const chosen = list.querySelectorAll("[data-select]:checked").length;
    const boxes = list.querySelectorAll("[data-select]").length;
    list.querySelectorAll("[data-select]").forEach((box) => {
      const row = box.closest("tr");
      if (row) row.classList.toggle("gd-selected", box.checked);
    });
    const everything = list.querySelector("[data-select-matching]");
    const matching = everything && everything.checked;
    list.querySelectorAll("[data-selected-count]").forEach((place) => {
      place.textContent = matching ? place.dataset.matching : chosen === 0 ? place.dataset.none : chosen + " selected";
    });
    list.querySelectorAll("[data-needs-selection]").forEach((button) => { button.disabled = chosen === 0 && !matching; });
    const all = list.querySelector("[data-select-all]");
    if (all) {
      all.checked = boxes > 0 && chosen === boxes;
      all.indeterminate = chosen > 0 && chosen < boxes;
    }
  }

  function start() {
    document.querySelectorAll("[data-selectable]").forEach(count);
  }
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
  window.addEventListener("pageshow", start);
})();
