// What the browser keeps for one person, an entry each, so that two tabs never overwrite one another's.

/** A shelf in localStorage. `broken` tells that the browser keeps nothing (full, or forbidden): memory must do. */
export function makeShelf(prefix) {
  const memory = new Map();
  const shelf = { broken: false };

  shelf.put = (name, value) => {
    memory.set(name, value);
    try {
      localStorage.setItem(prefix + name, JSON.stringify(value));
      return true;
    } catch {
      shelf.broken = true;
      return false;
    }
  };

  shelf.get = (name) => {
    try {
      const text = localStorage.getItem(prefix + name);
      if (text !== null) return JSON.parse(text);
    } catch {
      /* unreadable: what memory has is all there is */
    }
    return shelf.broken && memory.has(name) ? memory.get(name) : null;
  };

  shelf.drop = (name) => {
    memory.delete(name);
    try {
      localStorage.removeItem(prefix + name);
    } catch {
      /* nothing was kept */
    }
  };

  /** All entries, as [name, value]. */
  shelf.all = () => {
    const names = new Set(shelf.broken ? memory.keys() : []);
    try {
      for (let at = 0; at < localStorage.length; at += 1) {
        const name = localStorage.key(at);
        if (name.startsWith(prefix)) names.add(name.slice(prefix.length));
      }
    } catch {
      /* memory alone */
    }
    return [...names].map((name) => [name, shelf.get(name)]).filter(([, value]) => value !== null);
  };

  return shelf;
}
