/* Keys for the form of one example: Ctrl+Enter saves and goes on, Alt+V validates, Alt+R rejects; unsaved work is guarded. */
(function () {
  "use strict";
  const form = document.querySelector("form[data-keys]");
  if (!form) return;

  function press(name) {
    const button = form.querySelector('button[name="' + name + '"]');
    if (button) button.click();
    return Boolean(button);
  }

  document.addEventListener("keydown", function (event) {
    let pressed = false;
    if ((event.ctrlKey || event.metaKey) && event.key === "Enter") pressed = press("_next") || press("_save");
    else if (event.altKey && event.code === "KeyV") pressed = press("_validate");
    else if (event.altKey && event.code === "KeyR") pressed = press("_reject");
    if (pressed) event.preventDefault();
  });

  const start = new URLSearchParams(new FormData(form)).toString();
  let leaving = false;
  form.addEventListener("submit", function () { leaving = true; });
  window.addEventListener("beforeunload", function (event) {
    if (!leaving && new URLSearchParams(new FormData(form)).toString() !== start) event.preventDefault();
  });
})();
