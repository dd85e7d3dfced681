namespace Shinano.Cli.Tests;

/// <summary>A xend whose program was built anew while it runs; a copy of it stands for the builds.</summary>
public sealed class XendReplacementTests
{
    [Fact]
    public async Task An_idle_xend_of_an_older_build_is_replaced()
    {
        await using CliHome home = CliHome.Create();
        CopyXend(home);
        Assert.Equal(0, (await home.XmAsync("list")).ExitCode);
        string first = await StatusAsync(home);
        CliResult same = await home.XmAsync("list");
        Assert.Equal((0, ""), (same.ExitCode, same.Error));
        Assert.Equal(first, await StatusAsync(home));

        BuildAnew(home);
        CliResult replaced = await home.XmAsync("list");
        Assert.Equal((0, ""), (replaced.ExitCode, replaced.Error));
        Assert.NotEqual(first, await StatusAsync(home));
    }

    [Fact]
    public async Task One_with_domains_is_left_and_the_user_is_told_what_to_do()
    {
        await using CliHome home = CliHome.Create();
        CopyXend(home);
        Assert.Equal(0, (await home.XmAsync("create", "a.cfg")).ExitCode);
        string first = await StatusAsync(home);
        BuildAnew(home);

        CliResult warned = await home.XmAsync("domid", "a");
        Assert.Equal((0, "1\n"), (warned.ExitCode, warned.Output));
        Assert.Matches(@"^Warning: xend \(process \d+\) was built anew since it started, and has domains: 'xend stop' ends it,[^\n]*\n$", warned.Error);
        Assert.Equal(first, await StatusAsync(home));

        Assert.Equal(0, (await home.RunAsync("", "xend", "stop")).ExitCode);
        CliResult adopted = await home.XmAsync("domid", "a");
        Assert.Equal((0, "1\n", ""), (adopted.ExitCode, adopted.Output, adopted.Error));
        Assert.NotEqual(first, await StatusAsync(home));
    }

    [Fact]
    public async Task Another_program_is_named_and_left()
    {
        await using CliHome home = CliHome.Create();
        string built = home.Xend;
        CopyXend(home);
        string copy = home.Xend;
        Assert.Equal(0, (await home.XmAsync("list")).ExitCode);
        string first = await StatusAsync(home);
        home.Xend = built;
        Assert.Equal("", (await home.XmAsync("list")).Error);

        home.Xend = copy;
        Assert.Equal(0, (await home.RunAsync("", "xend", "stop")).ExitCode);
        BuildAnew(home);
        Assert.Equal(0, (await home.XmAsync("list")).ExitCode);
        home.Xend = built;
        CliResult warned = await home.XmAsync("list");
        Assert.Equal(0, warned.ExitCode);
        Assert.Contains($"is {copy}, not {built}: 'xend stop' ends it", warned.Error, StringComparison.Ordinal);
        Assert.NotEqual(first, await StatusAsync(home));
    }

    private static async Task<string> StatusAsync(CliHome home)
    {
        CliResult status = await home.RunAsync("", "xend", "status");
        Assert.Matches("^xend runs for .* as process \\d+ since ", status.Output);
        return status.Output;
    }

    private static void CopyXend(CliHome home)
    {
        string source = Path.GetDirectoryName(home.Xend)!;
        string target = Path.Combine(home.Directory, "xend");
        foreach (string file in Directory.EnumerateFiles(source, "*", SearchOption.AllDirectories))
        {
            string copy = Path.Combine(target, Path.GetRelativePath(source, file));
            Directory.CreateDirectory(Path.GetDirectoryName(copy)!);
            File.Copy(file, copy);
        }

        home.Xend = Path.Combine(target, Path.GetFileName(home.Xend));
    }

    private static void BuildAnew(CliHome home) => File.SetLastWriteTimeUtc(home.Xend, File.GetLastWriteTimeUtc(home.Xend).AddSeconds(1));
}
