// What follows the exchange while a page is open: new rows of the log as they come, and a front page that renews itself.

const MOST_ROWS = 200;
const MOST_WAITING = 1000;
const RENEW_MS = 10000;

for (const bar of document.querySelectorAll("[data-live]")) follow(bar);
for (const button of document.querySelectorAll("button[data-refresh]")) renew(button);

function follow(bar) {
  const rows = document.getElementById(bar.dataset.into);
  const button = bar.querySelector("button");
  const status = bar.querySelector("[role=status]");
  const address = new URL(bar.dataset.live, location.href);
  address.searchParams.set("after", bar.dataset.after);
  const waiting = [];
  let paused = false;

  const tell = (text) => { if (status.textContent !== text) status.textContent = text; };
  const told = () => tell(paused ? `${bar.dataset.paused} (${waiting.length})` : bar.dataset.connected);

  function show(html) {
    const holder = document.createElement("template");
    holder.innerHTML = html;
    rows.prepend(holder.content);
    document.getElementById("log-none")?.remove();
    while (rows.rows.length > MOST_ROWS) rows.rows[rows.rows.length - 1].remove();
  }

  const source = new EventSource(address);
  source.addEventListener("open", told);
  source.addEventListener("line", (event) => {
    if (!paused) { show(event.data); return; }
    waiting.push(event.data);
    if (waiting.length > MOST_WAITING) waiting.shift();
    told();
  });
  source.addEventListener("error", () => {
    tell(source.readyState === EventSource.CLOSED ? bar.dataset.ended : bar.dataset.lost);
  });
  button.addEventListener("click", () => {
    paused = !paused;
    button.textContent = paused ? bar.dataset.resume : bar.dataset.pause;
    if (!paused) for (const html of waiting.splice(0)) show(html);
    told();
  });
  bar.hidden = false;
}

function renew(button) {
  const part = document.getElementById(button.dataset.refresh);
  let on = true;

  async function again() {
    const busy = part.contains(document.activeElement) || part.querySelector("details[open]");
    if (!on || busy || document.hidden) return;
    const answer = await fetch(location.href, { headers: { accept: "text/html" } }).catch(() => null);
    if (!answer?.ok || answer.redirected) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById(part.id);
    if (fresh) part.replaceChildren(...fresh.childNodes);
  }

  button.addEventListener("click", () => {
    on = !on;
    button.textContent = on ? button.dataset.on : button.dataset.off;
  });
  button.hidden = false;
  setInterval(again, RENEW_MS);
}
