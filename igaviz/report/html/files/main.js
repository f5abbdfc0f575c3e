// What is chosen, and what follows from it.
const state = { run: 0, metric: VERDICT, step: 0, row: null, column: null };
const control = (id) => document.getElementById(id);
const prefersDark = matchMedia('(prefers-color-scheme: dark)');
let style = prefersDark.matches ? 'dark' : 'light';

function applyStyle() {
  const palette = data.palettes[style];
  const root = document.documentElement.style;
  root.colorScheme = style;
  for (const [name, colour] of Object.entries({ ...palette.inks, ...palette.verdicts })) root.setProperty(`--${name}`, colour);
  control('theme').textContent = style === 'dark' ? 'Light' : 'Dark';
  control('theme').setAttribute('aria-pressed', String(style === 'dark'));
}

function drawStep() {
  const palette = data.palettes[style];
  const run = data.runs[state.run];
  const name = `${run.steps[state.step].toLocaleString('en')}${run.fromMaps[state.step] ? ', maps' : ', numbers alone'}`;
  control('step-name').textContent = name;
  control('step').setAttribute('aria-valuetext', `step ${name}`);
  paintGrid(state, palette);
  showHead(state);
  drawCourses(state, palette);
}

function drawAll() {
  applyStyle();
  drawStep();
  drawComparison(state, data.palettes[style]);
}

// The first of the heads that a picture is of, else the first of the worst.
function firstHead() {
  const run = data.runs[state.run];
  const pictured = pictures.find((picture) => picture.run === state.run);
  state.row = pictured ? run.layers.indexOf(pictured.layer) : 0;
  state.column = pictured ? run.heads.indexOf(pictured.head) : 0;
}

function takeRun(place) {
  state.run = place;
  const run = data.runs[place];
  state.step = Math.max(run.fromMaps.lastIndexOf(true), run.fromMaps.includes(true) ? 0 : run.steps.length - 1);
  control('run').value = String(place);
  control('step').max = String(run.steps.length - 1);
  control('step').value = String(state.step);
  firstHead();
  buildGrid(state, choose);
}

function choose(row, column) {
  Object.assign(state, { row, column });
  drawStep();
}

function goTo(step) {
  state.step = Math.min(Math.max(step, 0), data.runs[state.run].steps.length - 1);
  control('step').value = String(state.step);
  drawStep();
}

control('metric').append(element('option', { value: VERDICT }, 'verdict'),
  ...data.metrics.map((metric) => element('option', { value: metric.name }, titleOf(metric))));
control('metric').addEventListener('change', (event) => {
  state.metric = event.target.value;
  drawAll();
});
control('run').addEventListener('change', (event) => {
  takeRun(Number(event.target.value));
  drawStep();
});
control('step').addEventListener('input', (event) => goTo(Number(event.target.value)));
control('before').addEventListener('click', () => goTo(state.step - 1));
control('after').addEventListener('click', () => goTo(state.step + 1));
control('theme').addEventListener('click', () => {
  style = style === 'dark' ? 'light' : 'dark';
  drawAll();
});
prefersDark.addEventListener('change', () => {
  style = prefersDark.matches ? 'dark' : 'light';
  drawAll();
});
for (const button of document.querySelectorAll('button.run, button.show')) {
  button.addEventListener('click', () => {
    takeRun(Number(button.dataset.run));
    const run = data.runs[state.run];
    if (button.dataset.layer !== undefined) {
      state.step = Math.max(run.steps.indexOf(Number(button.dataset.step)), 0);
      control('step').value = String(state.step);
      state.row = run.layers.indexOf(Number(button.dataset.layer));
      state.column = run.heads.indexOf(Number(button.dataset.head));
    }
    drawStep();
    control('maps').scrollIntoView();
    cellAt(state.row, state.column)?.focus({ preventScroll: true });
  });
}
new ResizeObserver(() => paintGrid(state, data.palettes[style])).observe(control('grid'));
takeRun(data.first);
drawAll();
