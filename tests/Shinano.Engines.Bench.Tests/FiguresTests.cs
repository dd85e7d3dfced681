namespace Shinano.Engines.Bench.Tests;

/// <summary>What the table is computed from.</summary>
public sealed class FiguresTests
{
    private readonly Figures _figures = new();

    [Fact]
    public void A_checksum_unlike_the_first_is_an_error_and_its_time_does_not_count()
    {
        _figures.Add(new Measurement("sort", 1000, "aa"), Column.Native);
        _figures.Add(new Measurement("sort", 10, "ab"), Column.Translator);
        Assert.Equal("sort: translator computed ab, native aa", Assert.Single(_figures.Problems));
        Assert.Null(_figures.Median("sort", Column.Translator));
    }

    [Fact]
    public void A_group_that_a_cpu_cannot_run_is_said_and_not_an_error()
    {
        _figures.Add(Measurement.TryParse("BENCH-SKIPPED avx CPUID has no AVX2")!, Column.Interpreter);
        Assert.Equal("interpreter has no avx: CPUID has no AVX2", Assert.Single(_figures.Skips));
        Assert.Empty(_figures.Problems);
    }

    [Theory]
    [InlineData(new[] { 3.0, 1, 2 }, 2)]
    [InlineData(new[] { 4.0, 1, 2, 3 }, 2.5)]
    [InlineData(new[] { 7.0 }, 7)]
    public void The_median_is_the_middle(double[] values, double median)
    {
        foreach (double value in values)
        {
            _figures.Add("sort", Column.Tcg, value);
        }

        Assert.Equal(median, _figures.Median("sort", Column.Tcg));
    }

    [Fact]
    public void The_geometric_mean_takes_the_rows_that_both_columns_have()
    {
        _figures.Add("sort", Column.Native, 1);
        _figures.Add("sort", Column.Tcg, 2);
        _figures.Add("chase", Column.Native, 1);
        _figures.Add("chase", Column.Tcg, 8);
        _figures.Add(Figures.Boot, Column.Tcg, 3);
        (double mean, int rows) = _figures.GeometricMean(["sort", "chase", Figures.Boot], Column.Tcg, Column.Native)!.Value;
        Assert.Equal(4, mean, 12);
        Assert.Equal(2, rows);
        Assert.Null(_figures.GeometricMean([Figures.Boot], Column.Tcg, Column.Native));
    }

    [Theory]
    [InlineData("BENCH sort 12 ab", true)]
    [InlineData("BENCH sort -12 ab", false)]
    [InlineData("BENCH sort 12", false)]
    [InlineData("BENCH ready", false)]
    [InlineData("[    1.0] BENCH sort 12 ab", false)]
    [InlineData("", false)]
    public void Only_the_programs_own_lines_are_figures(string line, bool is_)
    {
        Assert.Equal(is_, Measurement.TryParse(line) is { Group: "sort", Nanoseconds: 12, Checksum: "ab" });
    }

    [Fact]
    public void Selections_keep_the_tables_order_and_refuse_unknown_names()
    {
        Assert.Equal(["sort", "sse2"], Selection.Groups("sse2,sort"));
        Assert.Equal(Workload.KernelGroups, Selection.Groups("kernel"));
        Assert.Equal([Column.Native, Column.Translator], Selection.Columns("translator,native"));
        Assert.Throws<BenchFailureException>(() => Selection.Groups("sorting"));
        Assert.Throws<BenchFailureException>(() => Selection.Columns("7"));
    }
}
