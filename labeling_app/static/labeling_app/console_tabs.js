// One tab labels at a time: two would show the same examples.

/** Call `here` when this tab may label, `elsewhere(take)` when another does; `take` takes over and loads the page anew. */
export function onlyHere(name, { here, elsewhere }) {
  if (!navigator.locks) {
    here(); // without TLS there are no locks; the server still counts no answer twice
    return;
  }
  const hold = () => new Promise(() => {});
  const lost = () => elsewhere(take);
  const take = () =>
    navigator.locks
      .request(name, { steal: true }, () => {
        location.reload();
        return new Promise((done) => setTimeout(done, 3000));
      })
      .catch(() => {});
  let waited = false;
  let mine = false;
  const wait = setTimeout(() => {
    waited = true;
    elsewhere(take);
  }, 1500); // a page that is being loaded anew lets go within moments
  navigator.locks
    .request(name, () => {
      clearTimeout(wait);
      mine = true;
      if (waited) location.reload(); // the other tab was closed
      else here();
      return hold();
    })
    .catch(() => mine && lost());
}
