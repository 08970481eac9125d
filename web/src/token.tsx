// Asks for the token where the server wants one; what waits for it goes on by itself.

import { useEffect, useRef, useState } from 'preact/hooks';
import { Refused, get, onToken } from './api';

interface Waiting {
  resolve: (token: string) => void;
  reject: (error: Refused) => void;
}

export function TokenDialog() {
  const dialog = useRef<HTMLDialogElement>(null);
  const waiting = useRef<Waiting | undefined>(undefined);
  const [wasWrong, setWrong] = useState(false);
  useEffect(() => {
    onToken((wasWrong) => {
      setWrong(wasWrong);
      dialog.current!.showModal();
      return new Promise((resolve, reject) => (waiting.current = { resolve, reject }));
    });
    get('/v1/models').catch(() => {}); // asks early: before any work is done
  }, []);
  const take = (event: SubmitEvent) => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    waiting.current?.resolve(String(new FormData(form).get('token')).trim());
    waiting.current = undefined;
    form.reset();
    dialog.current!.close();
  };
  const close = () => {
    if (dialog.current!.open) return; // this tells of the time before: another token is asked for already
    waiting.current?.reject(new Refused(401, 'This server wants a token.'));
    waiting.current = undefined;
  };
  return (
    <dialog ref={dialog} aria-labelledby="token-title" onClose={close}>
      <form onSubmit={take}>
        <h2 id="token-title">This server wants a token</h2>
        {wasWrong && (
          <p class="trouble" role="alert">
            The server does not know that token.
          </p>
        )}
        <p>Ask whoever runs it for one. It is kept until this tab is closed.</p>
        <label class="field">
          <span>Token</span>
          <input name="token" type="password" autocomplete="off" required />
        </label>
        <button type="submit" class="primary">
          Continue
        </button>
      </form>
    </dialog>
  );
}
