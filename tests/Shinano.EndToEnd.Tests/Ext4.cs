using System.Diagnostics;

namespace Shinano.EndToEnd.Tests;

/// <summary>The host's own tools for a file system that a guest wrote.</summary>
internal static class Ext4
{
    /// <summary>e2fsck finds nothing to mend.</summary>
    public static async Task AssertCleanAsync(string image)
    {
        using Process check = Process.Start(new ProcessStartInfo("/usr/sbin/e2fsck", ["-f", "-n", image]) { RedirectStandardOutput = true })!;
        string said = await check.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        await check.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.True(check.ExitCode == 0, said);
    }
}
