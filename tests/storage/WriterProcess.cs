using System.Diagnostics;
using System.Globalization;
using Shinano.Repository;

namespace Shinano.Storage.Writing;

/// <summary>Runs Shinano.Storage.Writer, as a process of its own, and kills it.</summary>
internal static class WriterProcess
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    /// <summary>Kills it after a number of lines; what it had said until then, and what was still in the pipe.</summary>
    public static async Task<List<string>> RunUntilKilledAsync(int lines, params string[] arguments)
    {
        string own = Path.TrimEndingDirectorySeparator(AppContext.BaseDirectory);
        string program = Path.Combine(
            RepositoryRoot.Path, "tests", "Shinano.Storage.Writer", "bin", Path.GetFileName(Path.GetDirectoryName(own)!), Path.GetFileName(own), "Shinano.Storage.Writer.dll");
        using Process process = Process.Start(new ProcessStartInfo("dotnet", [program, .. arguments]) { RedirectStandardOutput = true })!;
        Assert.Equal("ready", await process.StandardOutput.ReadLineAsync(Cancellation));
        List<string> said = [];
        while (await process.StandardOutput.ReadLineAsync(Cancellation) is { } line)
        {
            said.Add(line);
            if (said.Count == lines)
            {
                process.Kill();
            }
        }

        await process.WaitForExitAsync(Cancellation);
        return said;
    }

    /// <summary>The versions of slots that it acknowledged: lines of "worker slot version".</summary>
    public static Dictionary<(int Worker, int Slot), uint> Acknowledged(IEnumerable<string> lines)
    {
        Dictionary<(int, int), uint> acknowledged = [];
        foreach (string line in lines)
        {
            if (line.Split(' ') is [var worker, var slot, var version])
            {
                acknowledged[(int.Parse(worker, CultureInfo.InvariantCulture), int.Parse(slot, CultureInfo.InvariantCulture))] = uint.Parse(version, CultureInfo.InvariantCulture);
            }
        }

        return acknowledged;
    }
}
