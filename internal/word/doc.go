// Package word has a number that costs its writer nothing and that other goroutines may read.
package word
