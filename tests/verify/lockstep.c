/* SPDX-License-Identifier: Apache-2.0 */
/* Promise guarded here: runners meet in order whoever is faster; a meeting sees what each has in hand; and when one
 * leaves, or a meeting fails, nobody waits for ever. */
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "tests/support/check.h"
#include "tests/support/support.h"
#include "verify/lockstep.h"

enum { ROUNDS = 3000 };

typedef struct {
    fvlm_lockstep *l;
    unsigned n_runners;
    size_t met, stop_at; /* the meeting of that number fails */
    bool wrong;
} table;

typedef struct {
    table *t;
    unsigned index;
    size_t rounds, went; /* to do, done */
} seat;

static fvlm_status meeting(void *ctx, const fvlm_lockstep_block *shown, fvlm_err *err)
{
    table *t = ctx;
    for (unsigned i = 0; i < t->n_runners; i++) {
        t->wrong |= shown[i].rows != t->met || shown[i].cols != i || strcmp(shown[i].name, "block");
        t->wrong |= *shown[i].x != (float)(t->met * 10 + i);
    }
    return ++t->met == t->stop_at ? fvlm_fail(err, FVLM_MISMATCH, "stopped at %zu", t->met) : FVLM_OK;
}

static void *sit(void *ctx)
{
    seat *s = ctx;
    test_rng r = {s->index + 1};
    for (size_t i = 0; i < s->rounds; i++) {
        const float x = (float)(i * 10 + s->index);
        if (test_below(&r, 8) == 0) sched_yield();
        if (test_below(&r, 400) == 0) usleep(50);
        if (!fvlm_lockstep_meet(s->t->l, s->index, "block", &x, i, s->index)) return NULL;
        s->went++;
    }
    if (s->rounds < ROUNDS) fvlm_lockstep_leave(s->t->l);
    return NULL;
}

/* Seats n runners; runner 'leaver' leaves after half (n_runners = nobody). */
static table run(unsigned n, unsigned leaver, size_t stop_at, size_t went[3], fvlm_status *st, fvlm_err *err)
{
    table t = {.n_runners = n, .stop_at = stop_at};
    seat seats[3];
    pthread_t threads[3];
    assert_int_equal(fvlm_lockstep_create(&t.l, n, meeting, &t, err), FVLM_OK);
    for (unsigned i = 0; i < n; i++) {
        seats[i] = (seat){&t, i, i == leaver ? ROUNDS / 2 : ROUNDS, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, sit, &seats[i]), 0);
    }
    for (unsigned i = 0; i < n; i++) {
        pthread_join(threads[i], NULL);
        went[i] = seats[i].went;
    }
    *st = fvlm_lockstep_status(t.l, err);
    fvlm_lockstep_destroy(&t.l);
    assert_null(t.l);
    assert_false(t.wrong);
    return t;
}

static void they_meet_in_order(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= 3; n++) {
        fvlm_err err = {0};
        fvlm_status st;
        size_t went[3];
        const table t = run(n, n, 0, went, &st, &err);
        assert_int_equal(st, FVLM_OK);
        assert_int_equal(t.met, ROUNDS);
        for (unsigned i = 0; i < n; i++) assert_int_equal(went[i], ROUNDS);
    }
}

static void one_leaves(void **state)
{
    (void)state;
    for (unsigned leaver = 0; leaver < 3; leaver++) {
        fvlm_err err = {0};
        fvlm_status st;
        size_t went[3];
        const table t = run(3, leaver, 0, went, &st, &err);
        assert_int_equal(st, FVLM_OK); /* the leaver's own error is elsewhere */
        assert_int_equal(t.met, ROUNDS / 2);
        assert_int_equal(went[leaver], ROUNDS / 2);
    }
}

static void a_meeting_fails(void **state)
{
    (void)state;
    fvlm_err err = {0};
    fvlm_status st;
    size_t went[3];
    const table t = run(3, 3, 77, went, &st, &err);
    assert_int_equal(st, FVLM_MISMATCH);
    assert_string_equal(err.msg, "stopped at 77");
    assert_int_equal(t.met, 77);
    for (unsigned i = 0; i < 3; i++) assert_int_equal(went[i], 76);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(they_meet_in_order), cmocka_unit_test(one_leaves),
                                       cmocka_unit_test(a_meeting_fails)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
