// Requests to the API of labeling: session cookie, CSRF header, idempotency key; errors sorted by what can be done.

const TIMEOUT_MS = 20000;

/** The server said no. `code`, `details` and `hint` are the API's. */
export class Refused extends Error {
  constructor(status, answer) {
    super(answer.message || `The server answered ${status}.`);
    this.status = status;
    this.code = answer.code || "error";
    this.hint = answer.hint || "";
    this.details = answer.details || {};
  }
}

/** The server was not reached, or cannot answer now: the same request may work later. */
export class NotReached extends Error {
  constructor(message, retryAfterS = 0) {
    super(message);
    this.retryAfterS = retryAfterS;
  }
}

/** Nobody is signed in any more. */
export class SignedOut extends Error {}

export function makeTransport({ api, csrfCookie, timeoutMs = TIMEOUT_MS }) {
  function token() {
    const prefix = `${csrfCookie}=`;
    const found = document.cookie.split("; ").find((part) => part.startsWith(prefix));
    return found ? decodeURIComponent(found.slice(prefix.length)) : "";
  }

  /** Send JSON and return the JSON of the answer. Content goes into the body only, never into the address. */
  async function request(method, path, body = undefined, { key = "", keepalive = false } = {}) {
    const headers = { Accept: "application/json" };
    if (method !== "GET") {
      headers["Content-Type"] = "application/json";
      headers["X-CSRFToken"] = token();
    }
    if (key) headers["Idempotency-Key"] = key;
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(), timeoutMs);
    let response;
    let text;
    try {
      response = await fetch(path.startsWith("/") ? path : api + path, {
        method,
        headers,
        credentials: "same-origin",
        redirect: "manual",
        cache: "no-store",
        keepalive,
        signal: stop.signal,
        body: body === undefined ? undefined : JSON.stringify(body),
      });
      text = await response.text();
    } catch {
      throw new NotReached("No connection to the server.");
    } finally {
      clearTimeout(timer);
    }
    if (response.type === "opaqueredirect" || response.status === 401) throw new SignedOut("You are signed out.");
    const answer = parsed(text);
    if (response.ok) return answer === undefined ? {} : answer;
    if (response.status === 429 || response.status >= 500 || answer === undefined) {
      const wait = Number(response.headers.get("Retry-After")) || 0;
      throw new NotReached((answer && answer.message) || `The server answered ${response.status}.`, wait);
    }
    // another tab signed in anew: the token in the cookie is a new one at the next try
    if (response.status === 403 && /CSRF/.test(answer.message || "")) throw new SignedOut("You are signed out.");
    throw new Refused(response.status, answer);
  }

  return { request };
}

function parsed(text) {
  if (!text) return null;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
