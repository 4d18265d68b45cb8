"use strict";
// The utterances, which of them are shown, in which order, and how one looks. Texts become text nodes and nothing else.

const byId = (id) => document.getElementById(id);
const data = JSON.parse(byId("data").textContent);
const split = (text) => (text ? text.split(" ") : []);

const rows = data.rows.map(([id, set, reference, words, seconds, sound, kinds, which, texts]) => ({
  id, set, reference, words: split(words), seconds, sound, kinds, which,
  texts: texts.map(([text, steps, written]) => ({ text, steps, written: split(written), errors: steps.replaceAll("=", "").length })),
}));
const modelsOf = (role) => data.models.flatMap(([, own], i) => (own === role ? [i] : []));
const base = modelsOf("base")[0] ?? -1;
const tuned = modelsOf("tuned").at(-1) ?? -1;
const exported = modelsOf("exported");
const collator = new Intl.Collator(undefined, { numeric: true });
let confusion = null; // {model, step, word, written}: rows with this error alone

byId("judged").value = String(tuned >= 0 ? tuned : 0);

// What a model wrote, or undefined where it was not asked.
function heard(row, model) {
  return row.texts[row.which[model]];
}

// The error's steps with their words: [step, of the reference, of the hypothesis].
function* pairs(row, heardOne) {
  let word = 0, written = 0;
  for (const step of heardOne.steps) {
    const spoken = step === "I" ? "" : row.words[word++];
    yield [step, spoken, step === "S" || step === "I" ? heardOne.written[written++] : ""];
  }
}

function searchable(row) {
  row.searched ??= [
    row.id, row.reference, row.words.join(" "),
    ...row.texts.flatMap((one) => [one.text, one.written.join(" ")]),
    ...row.kinds.map((value, kind) => data.kinds[kind][1][value] ?? ""),
  ].join("\n").normalize("NFC").toLowerCase();
  return row.searched;
}

const tests = {
  all: () => true,
  errors: (row, model) => heard(row, model)?.errors > 0,
  right: (row, model) => heard(row, model)?.errors === 0,
  better: (row, model) => heard(row, model)?.errors < heard(row, base)?.errors,
  worse: (row, model) => heard(row, model)?.errors > heard(row, base)?.errors,
  differ: (row) => {
    const own = heard(row, tuned);
    return exported.some((model) => {
      const other = heard(row, model);
      return own && other && (own.steps !== other.steps || own.written.join(" ") !== other.written.join(" "));
    });
  },
};

const errors = (row, model) => heard(row, model)?.errors ?? -1;
const gain = (row, model) => (heard(row, model) && heard(row, base) ? errors(row, base) - errors(row, model) : 0);
const orders = {
  errors: (model) => (a, b) => errors(b, model) - errors(a, model),
  share: (model) => (a, b) => errors(b, model) / Math.max(b.words.length, 1) - errors(a, model) / Math.max(a.words.length, 1),
  gain: (model) => (a, b) => gain(b, model) - gain(a, model),
  loss: (model) => (a, b) => gain(a, model) - gain(b, model),
  long: () => (a, b) => b.seconds - a.seconds,
  short: () => (a, b) => a.seconds - b.seconds,
  id: () => (a, b) => collator.compare(a.id, b.id),
};

function hasConfusion(row) {
  const one = heard(row, confusion.model);
  if (!one?.errors) return false;
  for (const [step, word, written] of pairs(row, one)) {
    if (step === confusion.step && word === confusion.word && written === confusion.written) return true;
  }
  return false;
}

// The rows that the controls ask for, in their order.
function chosen() {
  const model = Number(byId("judged").value), test = tests[byId("which").value], order = orders[byId("order").value];
  const search = byId("search").value.normalize("NFC").toLowerCase().trim(), set = byId("set")?.value ?? "";
  const filters = [...document.querySelectorAll("[data-filter]")].filter((select) => select.value !== "")
    .map((select) => [data.kinds.findIndex(([kind]) => kind === select.dataset.filter), Number(select.value)]);
  const found = rows.filter((row) =>
    (set === "" || row.set === Number(set)) && filters.every(([kind, value]) => row.kinds[kind] === value) &&
    test(row, model) && (!confusion || hasConfusion(row)) && (!search || searchable(row).includes(search)));
  return order ? found.sort(order(model)) : found;
}

function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

// The hypothesis, each error marked where it is.
function aligned(row, one) {
  const line = make("p", "words"), [language, unit] = data.sets[row.set], gap = unit === "character" ? "" : " ";
  line.lang = language;
  line.dir = "auto";
  let equal = [];
  const flush = () => {
    if (equal.length) line.append(equal.join(gap), gap);
    equal = [];
  };
  for (const [step, word, written] of pairs(row, one)) {
    if (step === "=") {
      equal.push(word);
      continue;
    }
    flush();
    if (step === "S") {
      const both = make("span", "s");
      both.append(make("del", "", word), make("span", "hidden", " was written as "), make("ins", "", written));
      line.append(both, gap);
    } else {
      const isLeftOut = step === "D";
      line.append(make("span", "hidden", isLeftOut ? " left out: " : " made up: "));
      line.append(isLeftOut ? make("del", "d", word) : make("ins", "i", written), gap);
    }
  }
  flush();
  if (!one.steps) line.append(make("span", "soft", "(nothing)"));
  return line;
}

function counted(one) {
  const count = (step, name) => {
    const number = one.steps.split(step).length - 1;
    return number ? [`${number} ${name}`] : [];
  };
  return [...count("S", "subst."), ...count("D", "del."), ...count("I", "ins.")].join(", ") || "no error";
}

// One row's element.
function show(row) {
  const article = make("article", "row"), head = make("div", "head"), side = make("div", "side");
  const language = data.sets[row.set][0];
  if (row.sound !== null) {
    const play = make("button", "play");
    play.type = "button";
    play.tabIndex = -1;
    play.addEventListener("click", () => toggle(row));
    head.append(play);
    label(play, row);
  }
  head.append(make("strong", "", row.id));
  const told = row.kinds.map((value, kind) => data.kinds[kind][1][value]).filter(Boolean);
  head.append(make("span", "soft", [`${row.seconds.toFixed(2)} s`, ...told, ...(row.sound === null ? ["no recording"] : [])].join(" · ")));
  const reference = make("p", "reference", row.reference || "(nobody speaks)");
  reference.lang = language;
  reference.dir = "auto";
  for (const box of document.querySelectorAll('[name="shown"]:checked')) {
    const model = Number(box.value), one = heard(row, model);
    if (!one) continue;
    const part = make("div"), name = make("p", "name");
    name.append(box.parentElement.querySelector("svg").cloneNode(true), make("span", "", data.models[model][0]), make("span", "", counted(one)));
    part.append(name, aligned(row, one));
    if (byId("raw").checked) {
      const raw = make("p", "raw", one.text);
      raw.lang = language;
      raw.dir = "auto";
      part.append(raw);
    }
    side.append(part);
  }
  article.append(head, reference, side);
  article.setAttribute("aria-label", `${row.id}: ${row.reference}`);
  return article;
}
