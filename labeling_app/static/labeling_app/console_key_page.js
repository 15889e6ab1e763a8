// The page of keys: a key is chosen by pressing it, and a clash is told before it is saved. The server checks again.

import { keyOf } from "./console_keys.js";

const form = document.querySelector("form[data-keys]");
const reserved = JSON.parse(document.getElementById("lk-reserved").textContent);
const boxes = [...form.querySelectorAll(".lk-key")];
const titles = Object.fromEntries(JSON.parse(document.getElementById("lk-rows").textContent).map((row) => [row.action, row.title]));

const normal = (text) => (text.length === 1 ? text.toLowerCase() : text);

function check() {
  let clashes = 0;
  for (const box of boxes) {
    const key = normal(box.value.trim());
    const other = boxes.find((one) => one !== box && normal(one.value.trim()) === key);
    const problem = !key
      ? "Choose a key."
      : /^[0-9]$/.test(key)
        ? "Digits pick options."
        : reserved[key]
          ? `${key} ${reserved[key]}.`
          : other
            ? `“${titles[other.name]}” has this key.`
            : "";
    const place = document.getElementById(`clash-${box.name}`);
    place.hidden = !problem;
    place.textContent = problem;
    if (problem) box.setAttribute("aria-invalid", "true");
    else box.removeAttribute("aria-invalid");
    clashes += problem ? 1 : 0;
  }
  return clashes;
}

function choose(button) {
  const box = button.closest("td").querySelector(".lk-key");
  button.textContent = "Press a key …";
  const listen = (event) => {
    if (["Shift", "Control", "Alt", "Meta", "CapsLock"].includes(event.key)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    done();
    if (event.key !== "Escape") box.value = keyOf(event);
    check();
    button.focus();
  };
  const done = () => {
    document.removeEventListener("keydown", listen, true);
    button.removeEventListener("blur", done);
    button.textContent = "Choose";
  };
  document.addEventListener("keydown", listen, true);
  button.addEventListener("blur", done);
}

form.addEventListener("click", (event) => event.target.closest("[data-choose]") && choose(event.target.closest("[data-choose]")));
form.addEventListener("input", check);
form.addEventListener("submit", (event) => {
  if (event.submitter && event.submitter.value === "reset") return;
  if (!check()) return;
  event.preventDefault();
  boxes.find((box) => box.hasAttribute("aria-invalid")).focus();
});
check();
