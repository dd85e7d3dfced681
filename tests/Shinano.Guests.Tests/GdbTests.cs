using Shinano.Control.GuestPackages;

namespace Shinano.Guests.Tests;

/// <summary>Debian's gdb in a guest: breakpoints, hardware watchpoints, and steps whose trail is the one that the same gdb sees on the host.</summary>
[Collection(GuestRun.Sequence)]
public sealed class GdbTests(ITestOutputHelper output) : IDisposable
{
    private readonly DirectoryInfo temporary = Directory.CreateTempSubdirectory("shinano-gdb");

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    /// <summary>The interpreter takes two minutes for it: by name only.</summary>
    public static TheoryData<string, int> Combinations() => GuestEngine.UsualWith(1, 2);

    public void Dispose() => temporary.Delete(recursive: true);

    [Theory]
    [MemberData(nameof(Combinations))]
    public async Task GdbSeesWhatItSeesOnTheHost(string engine, int vcpus)
    {
        var files = await GdbFiles.PrepareAsync(temporary.FullName, Cancellation);
        var here = await files.RunHereAsync(temporary.FullName, Cancellation);
        var expected = AnswersIn(here.Split('\n'));

        // A host that lets nobody trace (a container without ptrace) is no oracle.
        Assert.SkipUnless(expected.Count > 0, $"gdb does not work on this host:\n{here}");
        Assert.Equal(200, expected.Count(line => line.StartsWith("GDB step ", StringComparison.Ordinal)));
        Assert.Contains("GDB watch 6 at", string.Join('\n', expected), StringComparison.Ordinal);
        Assert.Contains("Hardware watchpoint 2: counter", expected);

        var guest = await GuestRun.PrepareAsync(
            QuickstartGuest.CloudKernel, $"{GdbFiles.Script}\n{KernelLog.Script}", files.ToRamdiskFiles(), Cancellation);
        var run = await GuestRun.RunAsync(guest, vcpus, "384M", Cancellation, engine);
        output.WriteLine(run.Summary(vcpus));
        run.AssertEndedWell();
        Assert.True(expected.SequenceEqual(AnswersIn(run.Lines)), $"{string.Join('\n', expected)}\n\nand in the guest:\n\n{run.Console}");
        Assert.Empty(KernelLog.TroubleIn(run));
    }

    private static List<string> AnswersIn(IEnumerable<string> lines) =>
        [.. lines.Where(line => line.StartsWith("GDB ", StringComparison.Ordinal) || line.StartsWith("Hardware ", StringComparison.Ordinal)
            || line.StartsWith("rip ", StringComparison.Ordinal) || line.StartsWith("rax ", StringComparison.Ordinal))];
}
