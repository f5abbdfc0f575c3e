// The head that is chosen: its verdict, its numbers, its figures.
const FIRST_VALUES = ['gamma', 'geometry_effect', 'content_effect', 'geometry_ratio', 'geo_range', 'local_mass', 'saturation', 'entropy'];


function showHead(state) {
  const run = data.runs[state.run];
  const [layer, head] = [run.layers[state.row], run.heads[state.column]];
  const verdict = verdictOf(state.run, state.step, state.row, state.column);
  const severity = verdict?.severity ?? 'none';
  const all = document.querySelector('#numbers details')?.open ?? false;
  const numbers = element('details', { open: all }, element('summary', {}, 'All numbers'),
    valueList(state, data.metrics.filter((metric) => !FIRST_VALUES.includes(metric.name))));
  const parts = [
    element('h3', {}, `Layer ${layer}, head ${head}`),
    element('p', {},
      element('span', { className: `badge ${severity}` }, `${data.glyphs[severity]} ${verdict ? data.labels[severity] : wordsOf(verdict)}`),
      verdict?.check ? ` ${verdict.check} ${verdict.words}` : '',
      element('span', { className: 'faint' }, ` at step ${run.steps[state.step].toLocaleString('en')}`)),
    valueList(state, data.metrics.filter((metric) => FIRST_VALUES.includes(metric.name))),
    numbers,
  ];
  document.getElementById('numbers').replaceChildren(...parts);
  showFigures(state, layer, head);
}

// Figures stay while the step alone changes: they are of one step.
let figuresShown = '';

function showFigures(state, layer, head) {
  const found = figuresOf(state, layer, head);
  const key = found.length ? `${state.run} ${layer} ${head}` : '';
  if (key && key === figuresShown) return;
  figuresShown = key;
  const drawn = found.length ? found.map((picture) => figure(picture, layer, head)) : [howToDraw(state, layer, head)];
  document.getElementById('figures').replaceChildren(...drawn);
}

function valueList(state, metrics) {
  return element('dl', { className: 'values' }, ...metrics.map((metric) => {
    const value = valueOf(state.run, metric.name, state.step, state.row, state.column);
    const unit = Number.isFinite(value) && metric.unit ? ` ${metric.unit}` : '';
    return element('div', { title: metric.means }, element('dt', {}, metric.title), element('dd', {}, short(value) + unit));
  }));
}

function figuresOf(state, layer, head) {
  return pictures.filter((p) => p.run === state.run && p.layer === layer && p.head === head);
}

function figure(picture, layer, head) {
  const text = `${picture.figure}, step ${picture.step.toLocaleString('en')}, item ${picture.batch}`;
  const image = element('img', { src: picture.address, alt: `${text}, layer ${layer}, head ${head}: ${picture.verdict}` });
  const open = element('button', { type: 'button', className: 'enlarge', 'aria-label': `Enlarge: ${text}` }, image);
  open.addEventListener('click', () => enlarge(image));
  return element('figure', {}, open, element('figcaption', {}, text));
}

function howToDraw(state, layer, head) {
  const run = data.runs[state.run];
  const mapped = run.steps.filter((_, t) => run.fromMaps[t]);
  if (!mapped.length) return element('p', { className: 'faint' }, 'No maps of this run were recorded, so there is nothing to draw.');
  const step = run.fromMaps[state.step] ? run.steps[state.step] : mapped[mapped.length - 1];
  const quoted = `'${run.folder.replaceAll("'", "'\\''")}'`;
  const command = `igaviz render ${quoted} --layer ${layer} --head ${head} --step ${step} --phase ${run.phase}`;
  return element('p', { className: 'faint draw' }, 'Its figures are not in this page. They are drawn by ', element('code', {}, command));
}

function enlarge(image) {
  const dialog = document.getElementById('large');
  const large = dialog.querySelector('img');
  large.src = image.src;
  large.alt = image.alt;
  dialog.showModal();
}
