// The head that is chosen: its verdict, its numbers, its figures.
const FIRST_VALUES = ['gamma', 'geometry_effect', 'content_effect', 'geometry_ratio', 'geo_range', 'local_mass', 'saturation', 'entropy'];

function showHead(state) {
  const panel = document.getElementById('head');
  const run = data.runs[state.run];
  if (state.row === null) {
    panel.replaceChildren(element('p', { className: 'faint' }, 'Choose a head: its numbers and figures come here.'));
    return;
  }
  const [layer, head] = [run.layers[state.row], run.heads[state.column]];
  const verdict = verdictOf(state.run, state.step, state.row, state.column);
  const severity = verdict?.severity ?? 'none';
  panel.replaceChildren(
    element('h3', {}, `Layer ${layer}, head ${head}`),
    element('p', {},
      element('span', { className: `badge ${severity}` }, `${data.glyphs[severity] ?? '·'} ${verdict ? severity : 'not recorded'}`),
      verdict?.check ? ` ${verdict.check} ${verdict.words}` : '',
      element('span', { className: 'faint' }, ` at step ${run.steps[state.step].toLocaleString('en')}`)),
    valueList(state, data.metrics.filter((metric) => FIRST_VALUES.includes(metric.name))),
    element('details', {}, element('summary', {}, 'All numbers'),
      valueList(state, data.metrics.filter((metric) => !FIRST_VALUES.includes(metric.name)))),
    ...figuresOf(state, layer, head),
  );
}

function valueList(state, metrics) {
  return element('dl', { className: 'values' }, ...metrics.map((metric) => {
    const value = valueOf(state.run, metric.name, state.step, state.row, state.column);
    const unit = Number.isFinite(value) && metric.unit ? ` ${metric.unit}` : '';
    return element('div', { title: metric.means }, element('dt', {}, metric.title), element('dd', {}, short(value) + unit));
  }));
}

function figuresOf(state, layer, head) {
  const found = pictures.filter((p) => p.run === state.run && p.layer === layer && p.head === head);
  if (!found.length) return [howToDraw(state, layer, head)];
  return found.map((picture) => {
    const text = `${picture.figure}, step ${picture.step.toLocaleString('en')}, item ${picture.batch}`;
    const image = element('img', { src: picture.address, alt: `${text}, layer ${layer}, head ${head}: ${picture.verdict}`, loading: 'lazy' });
    const open = element('button', { type: 'button', className: 'enlarge', 'aria-label': `Enlarge: ${text}` }, image);
    open.addEventListener('click', () => enlarge(image));
    return element('figure', {}, open, element('figcaption', {}, text));
  });
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
