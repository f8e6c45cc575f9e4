/* SPDX-License-Identifier: Apache-2.0 */
/* dialect.h - a checkpoint in Apple's names, as another program would have saved it. */
#ifndef FVLM_TESTS_SUPPORT_DIALECT_H
#define FVLM_TESTS_SUPPORT_DIALECT_H

/* FROM has model.safetensors and config.json; the folder exists and is given both. dialect: transformers, llava (its
 * older names), mlx-vlm, apple-mlx, timm, openclip, mobileclip or apple-tower. Ends the program if it cannot. */
void test_dialect_write(const char *from, const char *folder, const char *dialect);

#endif
