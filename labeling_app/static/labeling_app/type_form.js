// The keys of choices in the form of a type: a clash is told beside its row as it is typed. The server checks again.
(function () {
  "use strict";
  const root = document.querySelector("[data-type-form]");
  if (!root) return;
  const taken = JSON.parse(document.getElementById("lt-taken").textContent);
  const rows = [...root.querySelectorAll("[data-key-row]")].map((row) => ({
    key: row.querySelector(".lt-key"),
    choice: row.querySelector('[name$="-choice"]'),
    trouble: row.querySelector(".lt-trouble"),
  }));
  const normal = (text) => (text.length === 1 ? text.toLowerCase() : text);
  const keyOf = (row) => (row.choice.value.trim() ? normal(row.key.value.trim()) : "");

  function troubleOf(row) {
    const key = keyOf(row);
    if (!key) return row.key.value.trim() ? "Write the answer too, or leave the key out." : "";
    if (taken[key]) return `${key} ${taken[key]}: choose another.`;
    if ([...key].length !== 1) return "Expected one character: a letter, a digit or a sign.";
    const other = rows.find((one) => one !== row && keyOf(one) === key);
    return other ? `“${other.choice.value.trim()}” has the key ${key} too: choose another for one of them.` : "";
  }

  function check() {
    for (const row of rows) {
      const trouble = troubleOf(row);
      if (row.trouble.textContent !== trouble) row.trouble.textContent = trouble;
      row.trouble.hidden = !trouble;
      if (trouble) row.key.setAttribute("aria-invalid", "true");
      else row.key.removeAttribute("aria-invalid");
    }
  }

  root.addEventListener("input", check);
  check();
})();
