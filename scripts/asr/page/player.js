// One player for all recordings: it goes on while the list is scrolled.

const audio = byId("audio");
let sounds = null; // base64 by number; read when the first is played
let playing = null; // a row

function address(number) {
  sounds ??= JSON.parse(byId("sound").textContent);
  return number in sounds ? `data:audio/flac;base64,${sounds[number]}` : `audio/${number}.flac`;
}

// Play the row's recording, or pause it.
function toggle(row) {
  if (row.sound === null) return;
  if (playing !== row) {
    playing = row;
    byId("player").hidden = false;
    byId("playing").textContent = row.id;
    byId("trouble").textContent = "";
    audio.src = address(row.sound);
  } else if (!audio.paused) {
    audio.pause();
    return;
  }
  audio.play().catch(() => {}); // what is wrong the event "error" tells; another recording in between is nothing wrong
}

function label(button, row) {
  const now = playing === row && !audio.paused;
  button.textContent = now ? "❚❚" : "▶";
  button.setAttribute("aria-label", `${now ? "pause" : "play"} ${row.id}`);
}

function labelAll() {
  for (const [row, element] of drawn) {
    const button = element.querySelector(".play");
    if (button) label(button, row);
  }
}

for (const event of ["play", "pause", "ended"]) audio.addEventListener(event, labelAll);
audio.addEventListener("error", () => {
  const where = playing && audio.src.startsWith("data:") ? "" : "; the folder audio belongs beside this page";
  byId("trouble").textContent = `This recording cannot be played${where}.`;
  labelAll();
});
