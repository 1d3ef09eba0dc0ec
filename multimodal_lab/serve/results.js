// What the server said.
const TOP = 8; // classes that are listed
const words = (found) => Object.values(found.texts).flat();

function picture(found, address) {
  const made = element('img');
  made.loading = 'lazy';
  made.alt = words(found)[0] || found.id;
  made.src = address;
  return made;
}

const played = new Set(); // addresses of what was fetched, until other results come

// A button that fetches a sound or a video once it is wanted, and plays it in its place.
function player(stream, address, whose) {
  const made = element('div', 'player'), button = element('button', 'play', `▶ ${stream}`);
  button.type = 'button';
  button.setAttribute('aria-label', `play ${stream} of ${whose}`);
  button.addEventListener('click', async () => {
    button.disabled = true;
    try {
      const content = await download(address), shown = element(content.type.startsWith('video/') ? 'video' : 'audio');
      Object.assign(shown, { controls: true, autoplay: true, src: URL.createObjectURL(content) });
      shown.setAttribute('aria-label', `${stream} of ${whose}`);
      played.add(shown.src);
      made.classList.add('open');
      made.replaceChildren(shown);
      shown.focus();
    } catch (error) {
      made.replaceChildren(element('small', 'failed', error.message));
    }
  });
  made.append(button);
  return made;
}

function card(found) {
  const made = element('li', 'card'), shots = element('div', 'shots'), about = element('div', 'about');
  const addresses = Object.values(found.pictures);
  shots.append(...(addresses.length ? addresses.map((one) => picture(found, one)) : [element('span', 'empty', 'no picture')]));
  about.append(...words(found).map((text) => element('div', 'text', text)));
  const told = Object.entries(found.labels).map(([label, value]) => `${label} ${Array.isArray(value) ? value.join(' + ') || '–' : value}`);
  about.append(element('span', 'score', `cosine ${found.score.toFixed(3)}`));
  about.append(element('small', 'id', [found.id, found.split, ...told].join(' · ')));
  about.append(...Object.entries(found.media).map(([stream, address]) => player(stream, address, words(found)[0] || found.id)));
  made.append(shots, about);
  return made;
}

function results(answer, texts) {
  const list = by('results');
  for (const address of played) URL.revokeObjectURL(address);
  played.clear();
  list.className = texts.has(answer.of) ? 'words' : '';
  list.replaceChildren(...answer.results.map(card));
}

function ranked(rows) {
  const table = element('table'), body = element('tbody'), most = Math.max(...rows.map(([, part]) => part || 0), 1e-9);
  for (const [label, part] of rows) {
    const row = element('tr'), cell = element('td'), bar = element('div', 'bar');
    bar.style.width = `${100 * (part || 0) / most}%`;
    cell.append(bar);
    row.append(element('td', 'name', label), cell, element('td', 'part', percent(part)));
    body.append(row);
  }
  table.append(body);
  return table;
}

function head(title, answer) {
  const made = element('div'), value = answer.value;
  const shown = value === null ? 'nothing: its streams are missing' : typeof value === 'number' ? String(Number(value.toPrecision(5))) : value || 'none';
  made.append(element('h3', '', title), element('div', 'verdict', answer.std ? `${shown} ± ${Number(answer.std.toPrecision(3))}` : shown));
  if (answer.probabilities && value !== null) {
    made.append(ranked(answer.probabilities.slice(0, TOP).map((one) => [one.class, one.probability])));
    const left = answer.probabilities.length - TOP;
    if (left > 0) made.append(element('small', '', `and ${number(left)} more`));
  }
  return made;
}

function heads(answer) {
  const named = Object.entries(answer.zero_shot).map(([title, own]) => head(title.includes('/') ? `${title.split('/')[0]}: of your classes` : 'of your classes', own));
  by('heads').replaceChildren(...named, ...Object.entries(answer.answers).map(([title, own]) => head(title, own)));
}

function notes(...answers) {
  const said = [...new Set(answers.flatMap((answer) => answer.notes))];
  by('notes').replaceChildren(...said.map((note) => element('li', '', note)));
  by('notes').hidden = !said.length;
}

function costs(answers) {
  const total = (key) => Math.round(answers.reduce((sum, answer) => sum + answer.milliseconds[key], 0));
  const waited = total('waited');
  return `model ${number(total('computed'))} ms${waited > 1 ? `, waited for it ${number(waited)} ms` : ''}, by ${answers[0].checkpoint}`;
}
