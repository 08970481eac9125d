// How to run, and the button for it.

import { useEffect, useState } from 'preact/hooks';
import type { ComponentChildren } from 'preact';
import { get } from './api';
import { Field } from './common';
import type { Choices } from './kept';
import { NumberField } from './number';
import type { Offer } from './types';

interface Props {
  choices: Choices;
  choose: (changed: Partial<Choices>) => void;
  busy: boolean;
  start: () => void;
  children: ComponentChildren;
}

export function RunPanel({ choices, choose, busy, start, children }: Props) {
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    start();
  };
  return (
    <form class="card run" onSubmit={submit} noValidate>
      <h2>Run</h2>
      <Choice label="Care" hint="How long the model learns about this scene." value={choices.preset} choose={(preset) => choose({ preset: preset as Choices['preset'] })}>
        <option value="quick">Quick: minutes</option>
        <option value="thorough">Thorough: up to twelve times the tuning</option>
        <option value="paper">As published: hours without a GPU</option>
      </Choice>
      <NumberField label="Candidates" least={1} most={64} value={choices.candidates} set={(candidates) => choose({ candidates })} />
      <details>
        <summary>More</summary>
        {children}
        <Offers label="Model" path="/v1/models" value={choices.model} choose={(model) => choose({ model })} />
        <Offers label="Device" path="/v1/devices" value={choices.device} choose={(device) => choose({ device })} />
        <NumberField label="Grow the mask, in pixels" hint="Where it leaves a rim of what is to go." least={0} most={1000} value={choices.grow_mask} set={(grow_mask) => choose({ grow_mask })} />
        <NumberField label="First seed" least={0} most={4294967295} value={choices.seed} set={(seed) => choose({ seed })} />
        <Choice label="Leave out of the result" value={choices.strip} choose={(strip) => choose({ strip: strip as Choices['strip'] })}>
          <option value="nothing">nothing</option>
          <option value="gps">where it was taken</option>
          <option value="metadata">all metadata</option>
        </Choice>
      </details>
      <button type="submit" class="primary wide" disabled={busy}>
        {busy ? 'Starting…' : 'Run'}
      </button>
    </form>
  );
}

interface ChoiceProps {
  label: string;
  hint?: string;
  value: string;
  choose: (value: string) => void;
  children: ComponentChildren;
}

function Choice({ label, hint, value, choose, children }: ChoiceProps) {
  return (
    <Field label={label} hint={hint}>
      <select value={value} onChange={(event) => choose(event.currentTarget.value)}>
        {children}
      </select>
    </Field>
  );
}

/** What the server has of a kind; the first is its default. */
function Offers({ label, path, value, choose }: { label: string; path: string; value: string; choose: (value: string) => void }) {
  const [offers, setOffers] = useState<Offer[]>([]);
  useEffect(() => {
    get<Offer[]>(path).then(setOffers, () => {});
  }, [path]);
  const known = offers.some((offer) => offer.name === value) ? value : offers[0]?.name ?? '';
  useEffect(() => {
    if (offers.length > 0 && value && known !== value) choose('');
  }, [offers, value]);
  return (
    <Choice label={label} value={known} choose={choose}>
      {offers.map((offer) => (
        <option key={offer.name} value={offer.name} title={offer.words}>
          {offer.name}
        </option>
      ))}
    </Choice>
  );
}
