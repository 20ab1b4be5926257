// Nothing is lost without this: ages by the reader's clock, the index's search, and what is new.
(() => {
  const span = (s) => s < 90 ? `${Math.ceil(s)} s` : s < 5400 ? `${Math.ceil(s / 60)} min`
    : s < 172800 ? `${(s / 3600).toFixed(1)} h` : `${(s / 86400).toFixed(1)} days`;
  const since = (time) => (Date.now() - Date.parse(time.dateTime)) / 1000;
  const tick = () => {
    for (const time of document.querySelectorAll("time[data-age]")) {
      const age = since(time);
      if (age < 0) continue;
      time.textContent = `${span(age)} ago`;
      time.parentElement.classList.toggle("old", age >= 86400 && time.dataset.age !== "over");
    }
    for (const note of document.querySelectorAll("[data-now]")) {
      const age = since(note.previousElementSibling);
      if (age >= 0) note.textContent = ` (${span(age)} ago)`;
    }
  };
  const search = () => {
    const form = document.querySelector("form.find");
    if (!form) return;
    form.hidden = false;
    const groups = [...document.querySelectorAll("tbody")].map((body) =>
      [body, [...body.rows].slice(1).map((row) => [row, row.textContent.toLowerCase()])]);
    const find = () => {
      const words = form.words.value.toLowerCase().split(/\s+/).filter(Boolean);
      const verdict = form.verdict.value;
      let found = 0;
      for (const [body, rows] of groups) {
        let shown = 0;
        for (const [row, text] of rows) {
          const keeps = words.every((word) => text.includes(word)) &&
            (!verdict || row.cells[1].textContent === verdict);
          row.hidden = !keeps;
          shown += keeps;
        }
        body.hidden = !shown;
        found += shown;
      }
      form.found.value = words.length || verdict ? `${found} found` : "";
    };
    form.addEventListener("input", find);
    form.addEventListener("submit", (event) => event.preventDefault());
    find();
  };
  // What a reader has opened, written or reached stays so when the page's content is a new one.
  const kept = (main) => [
    [...main.querySelectorAll("details")].map((one) => one.open),
    [...main.querySelectorAll("input, select")].map((one) => one.value),
    [...main.querySelectorAll("a, summary, input, select, pre")].indexOf(document.activeElement),
  ];
  const keep = (main, [open, values, at]) => {
    main.querySelectorAll("details").forEach((one, i) => { one.open = open[i] ?? false; });
    main.querySelectorAll("input, select").forEach((one, i) => { one.value = values[i] ?? ""; });
    main.querySelectorAll("a, summary, input, select, pre")[at]?.focus({preventScroll: true});
  };
  const live = (state) => {
    const say = (text) => { document.querySelector("#live").textContent = text; };
    let seen = state.content;
    const update = async () => {
      const got = await fetch(location.pathname,
        {headers: {"If-None-Match": `"${seen}"`}, cache: "no-store"});
      // The session is over, or the experiment is gone: the reader is to see that.
      const isOver = got.redirected || [401, 403, 404].includes(got.status);
      if (isOver) location.reload();
      if (isOver || !got.ok) return;
      const page = new DOMParser().parseFromString(await got.text(), "text/html");
      const main = document.querySelector("main");
      const before = kept(main);
      main.replaceWith(page.querySelector("main"));
      document.title = page.title;
      search();
      keep(document.querySelector("main"), before);
      document.querySelector("form.find")?.dispatchEvent(new Event("input"));
      tick();
      seen = page.querySelector("meta[name=state]").content;
      say(`Updated at ${new Date().toISOString().slice(11, 19)} UTC.`);
    };
    const listen = () => {
      const events = new EventSource(`/events/${location.pathname.split("/").pop()}`);
      events.onopen = () => say("Live: what is new appears by itself.");
      events.addEventListener("state", ({data}) => {
        if (data !== seen) update().catch(() => say("Not up to date: the service can't be read."));
      });
      events.onerror = () => {
        say("Not up to date: the service doesn't answer.");
        if (events.readyState !== EventSource.CLOSED) return;
        update().catch(() => {});
        setTimeout(listen, 30000);
      };
    };
    listen();
  };
  tick();
  setInterval(tick, 30000);
  search();
  const state = document.querySelector("meta[name=state]");
  if (state) live(state);
})();
