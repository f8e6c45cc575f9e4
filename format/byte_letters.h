/* SPDX-License-Identifier: Apache-2.0 */
/* byte_letters.h - how vocabularies spell bytes. GPT-2's alphabet, for the texts of byte-level tokens: printable
 * Latin-1 characters stand for the byte of their code, U+0100 to U+0143 for the other 68 bytes, in order.
 * SentencePiece: <0x00> to <0xFF>, each a piece. */
#ifndef FVLM_FORMAT_BYTE_LETTERS_H
#define FVLM_FORMAT_BYTE_LETTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The byte that code point c stands for, or -1. */
int fvlm_byte_letters_value(int32_t c);

/* The n_out <= n bytes that the UTF-8 text s spells; false if a character is outside the alphabet. out [n], may be
 * NULL. */
bool fvlm_byte_letters_decode(const char *s, size_t n, char *out, size_t *n_out);

/* The byte of SentencePiece's spelling, or -1. */
int fvlm_byte_letters_from_hex(const char *s, size_t n);

#endif
