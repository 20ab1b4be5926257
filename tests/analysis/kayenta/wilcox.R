# Records what R's wilcox.test says, with roots found to 1e-12: statistic, p-value, estimate, ends.
# Rscript wilcox.R < r_cases.csv > r_numbers.csv
# A case is a line: confidence; values of x with blanks between; values of y.
cat("# ", R.version.string, "\n", sep = "")
input <- file("stdin")
for (line in readLines(input)) {
  parts <- strsplit(line, ";")[[1]]
  values <- lapply(strsplit(trimws(parts[-1]), " +"), as.numeric)
  found <- suppressWarnings(wilcox.test(
    values[[1]], values[[2]], conf.int = TRUE, exact = FALSE, correct = TRUE,
    conf.level = as.numeric(parts[1]), tol.root = 1e-12
  ))
  numbers <- c(found$statistic, found$p.value, found$estimate, found$conf.int)
  cat(paste(trimws(formatC(numbers, digits = 12, format = "g")), collapse = ";"), "\n", sep = "")
}
close(input)
