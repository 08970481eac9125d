// The page's frame: where one is, and light or dark.

import { render } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { History } from './history';
import { JobPage } from './job';
import { NewScene } from './photos';
import { ScenePage } from './scene';
import { TokenDialog } from './token';

function useHash(): string {
  const [hash, setHash] = useState(location.hash.slice(1) || '/');
  useLayoutEffect(() => {
    const change = () => setHash(location.hash.slice(1) || '/');
    addEventListener('hashchange', change);
    return () => removeEventListener('hashchange', change);
  }, []);
  return hash;
}

function Page({ hash }: { hash: string }) {
  const [, kind, id] = hash.split('/');
  if (kind === 'scene' && id) return <ScenePage key={id} id={id} />;
  if (kind === 'job' && id) return <JobPage key={id} id={id} />;
  if (kind === 'history') return <History />;
  return <NewScene />;
}

const THEME = 'realfill-theme';

function ThemeButton() {
  const isDark = () => {
    const chosen = localStorage.getItem(THEME);
    return chosen ? chosen === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  };
  const [dark, setDark] = useState(isDark);
  useEffect(() => {
    const system = matchMedia('(prefers-color-scheme: dark)');
    const follow = () => setDark(isDark());
    system.addEventListener('change', follow);
    return () => system.removeEventListener('change', follow);
  }, []);
  useEffect(() => {
    if (localStorage.getItem(THEME)) document.documentElement.dataset.theme = dark ? 'dark' : 'light';
  }, [dark]);
  const turn = () => {
    localStorage.setItem(THEME, dark ? 'light' : 'dark');
    setDark(!dark);
  };
  return (
    <button type="button" class="quiet" onClick={turn} aria-label={dark ? 'Light theme' : 'Dark theme'}>
      {dark ? 'Light' : 'Dark'}
    </button>
  );
}

/** A file that is dropped beside what takes it must not be opened in the page's place. */
function useNoOpening(): void {
  useEffect(() => {
    const stop = (event: DragEvent) => event.preventDefault();
    addEventListener('dragover', stop);
    addEventListener('drop', stop);
    return () => {
      removeEventListener('dragover', stop);
      removeEventListener('drop', stop);
    };
  }, []);
}

function App() {
  const hash = useHash();
  useNoOpening();
  const main = useRef<HTMLElement>(null);
  const first = useRef(true);
  useLayoutEffect(() => {
    if (!first.current) main.current?.focus();
    first.current = false;
  }, [hash]);
  return (
    <>
      <a class="skip" href="#main" onClick={(event) => (event.preventDefault(), main.current?.focus())}>
        Skip to the content
      </a>
      <header>
        <a class="brand" href="#/">
          <img src="/assets/icon.svg" alt="" width="26" height="26" /> RealFill
        </a>
        <nav aria-label="Main">
          <a href="#/" aria-current={hash === '/' ? 'page' : undefined}>
            New
          </a>
          <a href="#/history" aria-current={hash === '/history' ? 'page' : undefined}>
            History
          </a>
          <a href="/docs" target="_blank" rel="noopener">
            API
          </a>
          <ThemeButton />
        </nav>
      </header>
      <main id="main" ref={main} tabIndex={-1}>
        <Page hash={hash} />
      </main>
      <TokenDialog />
    </>
  );
}

render(<App />, document.getElementById('app')!);
