/* The ten-belt model of models.py by hand: members innermost, in blocks that stay in the cache.

   gcc -O3 -march=native -mprefer-vector-width=512 -ffast-math turns the inner loops into vectors, and exp and
   pow into the vector functions of the C library: as fast as one would write it without generating code. */
#include <math.h>

#define BELTS 10
#define TIERS 3
#define W 32
#define EACH for (int m = 0; m < W; m++)

static const double cost[TIERS] = {1.2, 1.0, 0.8};
static const double start[TIERS] = {5.0, 20.0, 40.0};

/* parameters [4][members], out [years + 1][members]: sales weighted by capability, at the start of each year. */
void run(const double *parameters, double *out, long members, long years, long steps_a_year)
{
    const double dt = 1.0 / steps_a_year;
    for (long first = 0; first < members; first += W) {
        double firms[BELTS][TIERS][W], capability[BELTS][W];
        double attraction[BELTS][TIERS][W], sales[BELTS][TIERS][W];
        double total[W], market[W], output[W], aspired[BELTS][W];
        const double *elasticity = parameters + first, *entry_rate = elasticity + members;
        const double *growth = entry_rate + members, *learning = growth + members;
        double time = 2013.0;
        for (int b = 0; b < BELTS; b++) {
            EACH capability[b][m] = 1.0 + 0.05 * (b + 1);
            for (int t = 0; t < TIERS; t++)
                EACH firms[b][t][m] = start[t] * (1.0 + 0.05 * (b + 1));
        }
        for (long k = 0; k <= years * steps_a_year; k++) {
            EACH total[m] = 0.0;
            for (int b = 0; b < BELTS; b++)
                for (int t = 0; t < TIERS; t++)
                    EACH {
                        double price = pow(cost[t] / capability[b][m], elasticity[m]);
                        attraction[b][t][m] = firms[b][t][m] * exp(-0.5 * price);
                        total[m] += attraction[b][t][m];
                    }
            EACH market[m] = 1000.0 * exp(growth[m] * (time - 2013.0));
            EACH output[m] = 0.0;
            for (int b = 0; b < BELTS; b++) {
                double sum[W];
                EACH sum[m] = 0.0;
                for (int t = 0; t < TIERS; t++)
                    EACH {
                        sales[b][t][m] = market[m] * attraction[b][t][m] / total[m];
                        sum[m] += sales[b][t][m];
                    }
                EACH {
                    aspired[b][m] = pow(sum[m] / 100.0, learning[m]);
                    output[m] += sum[m] * capability[b][m];
                }
            }
            if (k % steps_a_year == 0)
                EACH out[(k / steps_a_year) * members + first + m] = output[m];
            for (int b = 0; b < BELTS; b++) {
                for (int t = 0; t < TIERS; t++)
                    EACH {
                        double profit = sales[b][t][m] / firms[b][t][m];
                        double pull = pow(fmax(0.01, fmin(4.0, profit)), 0.7);
                        double entry = entry_rate[m] * firms[b][t][m] * pull;
                        double leaving = firms[b][t][m] / 8.0 * exp(-0.3 * profit);
                        firms[b][t][m] += dt * (entry - leaving);
                    }
                EACH capability[b][m] += dt * ((aspired[b][m] - capability[b][m]) / 6.0);
            }
            time += dt;
        }
    }
}
