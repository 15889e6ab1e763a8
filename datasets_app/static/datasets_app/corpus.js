/* Rows that are added and moved in the forms of the corpus. Without it a form has one empty row more, and numbers. */
(function () {
  "use strict";
  let made = 0;

  function addRow(button) {
    const list = document.getElementById(button.dataset.addRow);
    const template = document.getElementById(button.dataset.addRow + "-template");
    made += 1;
    const holder = document.createElement("div");
    holder.innerHTML = template.innerHTML.replaceAll("__new__", "new" + made);
    const row = holder.firstElementChild;
    list.append(row);
    const first = row.querySelector("textarea, input:not([type=hidden]):not([type=checkbox])");
    (row.querySelector("[data-first]") || first).focus();
    row.scrollIntoView({ block: "center" });
  }

  /* neighbours change places, and with them the numbers that they carry */
  function move(button) {
    const row = button.closest("[data-row]");
    const other = button.dataset.move === "up" ? row.previousElementSibling : row.nextElementSibling;
    if (!other || !other.matches("[data-row]")) return;
    const mine = row.querySelector("[data-place]");
    const theirs = other.querySelector("[data-place]");
    if (mine && theirs) [mine.value, theirs.value] = [theirs.value, mine.value];
    if (button.dataset.move === "up") other.before(row);
    else other.after(row);
    button.focus();
    row.scrollIntoView({ block: "nearest" });
  }

  document.addEventListener("click", function (event) {
    const add = event.target.closest("[data-add-row]");
    if (add) addRow(add);
    const moved = event.target.closest("[data-move]");
    if (moved) move(moved);
  });

  document.addEventListener("keydown", function (event) {
    const form = document.querySelector("form[data-guarded]");
    if (form && (event.ctrlKey || event.metaKey) && event.key === "Enter") {
      const save = document.querySelector("[data-save]");
      if (save) { save.click(); event.preventDefault(); }
    }
  });

  /* a chunk that is expected already is not offered once more */
  function rowOf(button) {
    return document.querySelector('#expected-rows input[name="expected"][value="' + button.value + '"]');
  }
  function markExpected() {
    document.querySelectorAll("[data-expect]").forEach(function (button) {
      if (!rowOf(button)) return;
      button.disabled = true;
      button.textContent = "Expected";
    });
  }
  document.addEventListener("htmx:beforeRequest", function (event) {
    if (event.target.matches("[data-expect]") && rowOf(event.target)) event.preventDefault();
  });
  document.addEventListener("htmx:afterSwap", function (event) {
    markExpected();
    if (event.target.id === "test-result") event.target.scrollIntoView({ block: "nearest" });
  });
  markExpected();

  /* what was typed is not lost by a click on a link */
  let leaving = false;
  const state = (form) => JSON.stringify(Array.from(new FormData(form).entries()));
  document.querySelectorAll("form[data-guarded]").forEach(function (form) {
    form.dataset.start = form.hasAttribute("data-unsaved") ? "" : state(form);
  });
  window.addEventListener("beforeunload", function (event) {
    const changed = Array.from(document.querySelectorAll("form[data-guarded]")).some((form) => state(form) !== form.dataset.start);
    if (changed && !leaving) event.preventDefault();
  });
  // what htmx sends does not leave the page
  document.addEventListener("submit", function (event) { if (!event.defaultPrevented) leaving = true; });
  window.addEventListener("pageshow", function () { leaving = false; });
})();
