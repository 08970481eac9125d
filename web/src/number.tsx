// A field for a whole number. What is typed counts when the field is left or with Enter, within what is possible.

import { useRef, useState } from 'preact/hooks';

interface Props {
  label: string;
  hint?: string;
  value: number;
  least: number;
  most: number;
  set: (value: number) => void;
}

export function NumberField({ label, hint, value, least, most, set }: Props) {
  const [said, say] = useState('');
  const typed = useRef<string | undefined>(undefined);
  const commit = (input: HTMLInputElement) => {
    if (typed.current === undefined) return;
    const asked = input.value === '' ? value : Math.round(Number(input.value));
    const kept = Math.min(Math.max(asked, least), most);
    typed.current = undefined;
    input.value = String(kept);
    say(asked > most ? `The most that is possible is ${most}.` : asked < least ? `The least that is possible is ${least}.` : '');
    if (kept !== value) set(kept);
  };
  return (
    <div class="field">
      <label>
        <span>{label}</span>
        <input
          type="number"
          min={least}
          max={most}
          step="1"
          value={typed.current ?? value}
          onInput={(event) => void (typed.current = event.currentTarget.value)}
          onChange={(event) => commit(event.currentTarget)}
          onKeyDown={(event) => {
            if (event.key !== 'Enter') return;
            event.preventDefault();
            commit(event.currentTarget);
          }}
        />
      </label>
      {hint && <small>{hint}</small>}
      <small class="said" role="status">
        {said}
      </small>
    </div>
  );
}
