// Builds the page into the server's crate, under names that do not change: the program embeds them, and `.ci/run web` compares.
import { defineConfig } from 'vite';

export default defineConfig({
  base: '/assets/',
  publicDir: 'public',
  server: { proxy: { '/v1': 'http://127.0.0.1:7878' } },
  build: {
    outDir: '../crates/server/assets',
    emptyOutDir: true,
    target: 'es2022',
    modulePreload: false,
    assetsInlineLimit: 0,
    rollupOptions: {
      output: {
        entryFileNames: 'app.js',
        assetFileNames: 'app[extname]',
      },
    },
  },
});
