// Deleting asks once more, and a double click is no answer. The focus stays where one was.

import { useLayoutEffect, useRef, useState } from 'preact/hooks';

interface Props {
  /** What the button says, and its longer name. */
  words: string;
  label: string;
  busy?: boolean;
  act: () => void;
}

export function Sure({ words, label, busy, act }: Props) {
  const [isAsked, setAsked] = useState(false);
  const first = useRef<HTMLButtonElement>(null);
  const wasAsked = useRef(false);
  useLayoutEffect(() => {
    if (isAsked !== wasAsked.current) first.current?.focus();
    wasAsked.current = isAsked;
  }, [isAsked]);
  if (!isAsked) {
    return (
      <button type="button" class="quiet" ref={first} key="ask" onClick={() => setAsked(true)} aria-label={label}>
        {words}
      </button>
    );
  }
  return (
    <>
      <button type="button" class="danger" key="delete" disabled={busy} onClick={(event) => event.detail < 2 && act()}>
        Delete for good
      </button>
      <button type="button" ref={first} key="keep" onClick={() => setAsked(false)}>
        Keep
      </button>
    </>
  );
}
