// SPDX-License-Identifier: MIT
/*
 * driver.mjs CHROMIUM [OPTION…]: a browser, driven by playwright-core, for browser.py. Reads lines of JSON,
 * {id, page, verb, …}, and answers each by {id, value} or {id, error}. What a page complains of and asks for is said
 * when it happens, as {page, complaint} and {page, asked}. Ends with its standard input.
 */
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const { chromium } = createRequire(`${process.env.RTGC_BUILDDIR}/tests/web/`)('playwright-core');
const [executablePath, ...args] = process.argv.slice(2);
const pages = new Map();

function say(line) {
	process.stdout.write(`${JSON.stringify(line)}\n`);
}

function listen(page, id) {
	page.on('pageerror', (error) => say({ page: id, complaint: String(error.stack || error) }));
	page.on('request', (request) => say({ page: id, asked: request.url() }));
	page.on('console', (message) => {
		if (['assert', 'error', 'warning'].includes(message.type()))
			say({ page: id, complaint: `${message.text()} ${message.location().url}` });
	});
}

const verbs = {
	async open({ id, url, width, height, dark }) {
		const page = await browser.newPage({ viewport: { width, height }, colorScheme: dark ? 'dark' : 'light' });

		pages.set(id, page);
		listen(page, id);
		await page.goto(url);
	},
	async close({ page: id }) {
		await pages.get(id).context().close();
		pages.delete(id);
	},
	run: ({ page, expression }) => pages.get(page).evaluate(expression),
	dark: ({ page, wanted }) => pages.get(page).emulateMedia({ colorScheme: wanted ? 'dark' : 'light' }),
	key: ({ page, key }) => pages.get(page).keyboard.press(key),
	move: ({ page, x, y }) => pages.get(page).mouse.move(x, y),
	click: ({ page, x, y }) => pages.get(page).mouse.click(x, y),
	wheel: ({ page, x, y }) => pages.get(page).mouse.wheel(x, y),
	screenshot: ({ page, path }) => pages.get(page).screenshot({ path }),
};

const browser = await chromium.launch({ executablePath, args, chromiumSandbox: process.getuid() !== 0 });

for await (const line of createInterface({ input: process.stdin })) {
	const asked = JSON.parse(line);

	try {
		say({ id: asked.id, value: (await verbs[asked.verb](asked)) ?? null });
	} catch (error) {
		say({ id: asked.id, error: String(error) });
	}
}
await browser.close();
