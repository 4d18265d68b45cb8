// The list: only the rows near the window are in the document, so that ten thousand are as quick as ten.

const feed = byId("feed");
const NEAR = 800; // pixels above and below the window that are drawn too
const heights = new Map(); // of the rows that were drawn at this width
const drawn = new Map(); // row to element
let view = [];
let guess = 0; // height of a row that was not drawn yet
let selected = null; // a row
let waiting = 0;

const height = (row) => heights.get(row) ?? (guess || 180);

function draw() {
  waiting = 0;
  // What is read stays where it is, though rows above it turn out higher or lower than was guessed.
  const anchor = [...feed.children].find((element) => element.getBoundingClientRect().bottom > 0);
  const before = anchor?.getBoundingClientRect().top;
  for (let round = 0; round < 4 && !place(); round++);
  if (anchor?.isConnected && feed.getBoundingClientRect().top < 0) {
    const moved = anchor.getBoundingClientRect().top - before;
    if (Math.abs(moved) > 1) window.scrollBy(0, moved);
  }
}

// Draw the rows near the window; whether their heights were as expected.
function place() {
  const top = -feed.getBoundingClientRect().top;
  let first = 0, above = 0;
  while (first < view.length - 1 && above + height(view[first]) < top - NEAR) above += height(view[first++]);
  let last = first, below = above;
  while (last < view.length && below < top + innerHeight + NEAR) below += height(view[last++]);
  const wanted = new Set(view.slice(first, last));
  for (const [row, element] of drawn) {
    if (wanted.has(row)) continue;
    if (element.contains(document.activeElement)) feed.focus({ preventScroll: true });
    element.remove();
    drawn.delete(row);
  }
  let next = feed.firstElementChild;
  for (let position = first; position < last; position++) {
    const row = view[position];
    if (!drawn.has(row)) drawn.set(row, show(row));
    const element = drawn.get(row);
    element.setAttribute("aria-posinset", position + 1);
    element.setAttribute("aria-setsize", view.length);
    element.tabIndex = -1;
    if (element === next) next = next.nextElementSibling;
    else feed.insertBefore(element, next);
  }
  let rest = 0;
  for (let position = last; position < view.length; position++) rest += height(view[position]);
  feed.style.paddingTop = `${above}px`;
  feed.style.paddingBottom = `${rest}px`;
  const reached = drawn.get(selected) ?? feed.firstElementChild;
  if (reached) reached.tabIndex = 0;
  let asExpected = true, sum = 0;
  for (const row of wanted) {
    const measured = drawn.get(row).getBoundingClientRect().height;
    if (Math.abs(height(row) - measured) > 1) asExpected = false;
    heights.set(row, measured);
    sum += measured;
  }
  guess ||= wanted.size && sum / wanted.size;
  return asExpected;
}

function soon() {
  waiting ||= requestAnimationFrame(draw);
}

function empty() {
  for (const element of drawn.values()) element.remove();
  drawn.clear();
  heights.clear();
  guess = 0;
}

// Show what the controls ask for.
function update() {
  view = chosen();
  empty();
  if (!view.includes(selected)) selected = null;
  const all = view.length === rows.length, whole = `${rows.length.toLocaleString("en")} utterance${rows.length === 1 ? "" : "s"}`;
  byId("count").textContent = all ? whole : `${view.length.toLocaleString("en")} of ${whole}`;
  byId("reset").hidden = all && !confusion;
  byId("confusion").textContent = confusion ? `in which ${data.models[confusion.model][0]} ${{
    S: `writes ${confusion.written} for ${confusion.word}`, D: `leaves out ${confusion.word}`, I: `makes up ${confusion.written}`,
  }[confusion.step]}` : "";
  draw();
  mark();
}

function mark() {
  for (const [row, element] of drawn) {
    if (row === selected) element.setAttribute("aria-current", "true");
    else element.removeAttribute("aria-current");
  }
}

// Go to the row at a position of the view.
function select(position) {
  if (!view.length) return;
  position = Math.min(Math.max(position, 0), view.length - 1);
  selected = view[position];
  if (!drawn.has(selected)) {
    let above = 0;
    for (let i = 0; i < position; i++) above += height(view[i]);
    window.scrollTo(0, feed.getBoundingClientRect().top + scrollY + above - innerHeight / 3);
    draw();
  }
  const element = drawn.get(selected);
  element.scrollIntoView({ block: "nearest" });
  draw();
  drawn.get(selected).focus({ preventScroll: true });
  mark();
}

function toList() {
  byId("utterances").scrollIntoView();
  byId("utterances").focus({ preventScroll: true });
}

addEventListener("scroll", soon, { passive: true });
addEventListener("toggle", soon, true); // what is above the list opens and closes
let width = innerWidth;
addEventListener("resize", () => {
  if (width !== innerWidth) {
    heights.clear();
    guess = 0;
  }
  width = innerWidth;
  soon();
});
feed.addEventListener("focusin", (event) => {
  for (const [row, element] of drawn) if (element.contains(event.target)) selected = row;
  mark();
});

let typing = 0;
byId("controls").addEventListener("submit", (event) => event.preventDefault());
byId("controls").addEventListener("input", (event) => {
  clearTimeout(typing);
  typing = setTimeout(update, event.target === byId("search") ? 120 : 0);
});
byId("reset").addEventListener("click", () => {
  confusion = null;
  byId("search").value = "";
  byId("which").value = "all";
  for (const select of document.querySelectorAll("#set, [data-filter]")) select.value = "";
  update();
  byId("search").focus();
});
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-kind], [data-step]");
  if (!button) return;
  const { kind, value, model, step, word, written } = button.dataset;
  if (kind !== undefined) {
    const select = [...document.querySelectorAll("[data-filter]")].find((one) => one.dataset.filter === kind);
    if (select) select.value = value;
  } else {
    confusion = { model: Number(model), step, word, written };
    byId("judged").value = model;
    const box = document.querySelector(`[name="shown"][value="${Number(model)}"]`);
    box.checked = true;
  }
  update();
  toList();
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const inField = event.target.closest("input, select, textarea"), inFeed = feed.contains(event.target);
  if (event.key === "Escape" && inField) {
    const shown = view.indexOf(selected);
    select(shown < 0 ? 0 : shown);
    event.preventDefault(); // else the browser empties the search
    return;
  }
  if (inField) return;
  const at = view.indexOf(selected), key = event.key;
  const inList = inFeed || event.target === byId("utterances");
  if (key === "/") byId("search").focus();
  else if (key === "j" || (key === "ArrowDown" && inList)) select(at + 1);
  else if (key === "k" || (key === "ArrowUp" && inList)) select(at < 0 ? 0 : at - 1);
  else if (key === "Home" && inFeed) select(0);
  else if (key === "End" && inFeed) select(view.length - 1);
  else if (key === " " && inFeed && selected && !event.target.closest("button")) toggle(selected);
  else return;
  event.preventDefault();
});

byId("without").remove();
update();
