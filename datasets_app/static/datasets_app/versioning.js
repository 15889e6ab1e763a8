/* Versioning pages: unfold long values, show more fields, decide conflicts from the keyboard. All works without it. */
(function () {
  "use strict";

  function foldLongValues() {
    document.querySelectorAll(".v-long").forEach((value) => {
      if (value.scrollHeight <= value.clientHeight + 4 || value.nextElementSibling) return;
      const button = document.createElement("button");
      button.type = "button";
      button.className = "v-unfold";
      button.textContent = "Show all";
      button.addEventListener("click", () => {
        const row = value.closest("tr");
        const open = !value.classList.contains("v-open");
        row.querySelectorAll(".v-long").forEach((one) => one.classList.toggle("v-open", open));
        row.querySelectorAll(".v-unfold").forEach((one) => { one.textContent = open ? "Show less" : "Show all"; });
      });
      value.after(button);
    });
  }

  document.addEventListener("click", (event) => {
    const more = event.target.closest("[data-show-more]");
    if (more) {
      more.closest(".v-example").querySelector(".v-more").hidden = false;
      more.remove();
      foldLongValues();
    }
  });

  // whoever ticks an example means to commit a selection
  document.addEventListener("change", (event) => {
    if (!event.target.closest("[data-select], [data-select-all]")) return;
    const scope = document.querySelector("[data-scope-selected]");
    if (scope && document.querySelector("[data-select]:checked")) scope.checked = true;
  });

  const form = document.getElementById("conflict-form");
  if (form) {
    const conflicts = Array.from(form.querySelectorAll("[data-conflict]"));
    const decided = (one) => Boolean(one.querySelector("input[type=radio]:checked"));
    const elsewhere = Number(form.dataset.resolvedElsewhere || 0);
    const show = () => {
      const count = elsewhere + conflicts.filter(decided).length;
      document.querySelector("[data-resolved]").textContent = count;
      document.querySelector(".v-progress progress").value = count;
    };
    const current = () => conflicts.indexOf(document.activeElement.closest("[data-conflict]"));
    const go = (index) => {
      const target = conflicts[Math.max(0, Math.min(conflicts.length - 1, index))];
      if (!target) return;
      target.focus({ preventScroll: true });
      target.scrollIntoView({ block: "center" });
    };
    form.addEventListener("change", show);
    // writing a value chooses it
    form.addEventListener("input", (event) => {
      const own = event.target.closest(".v-choice-own");
      if (own && event.target.type !== "radio") {
        own.querySelector("input[type=radio]").checked = true;
        show();
      }
    });
    document.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.target.matches("textarea, select, input:not([type=radio])")) return;
      if (event.key === "j" || event.key === "k") {
        go(current() + (event.key === "j" ? 1 : -1));
      } else if ("1234".includes(event.key) && current() >= 0) {
        const radio = conflicts[current()].querySelectorAll("input[type=radio]")[Number(event.key) - 1];
        if (!radio || radio.disabled) return;
        radio.checked = true;
        show();
        if (event.key === "4") conflicts[current()].querySelector(".v-choice-own .gd-input, .v-choice-own .gd-select, .v-choice-own .gd-textarea").focus();
      } else return;
      event.preventDefault();
    });
    show();
  }

  foldLongValues();
})();
