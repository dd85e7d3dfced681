using System.Diagnostics;

namespace Shinano.EndToEnd.Tests;

/// <summary>What a guest says on the console that a tool is attached to.</summary>
internal static class GuestConsole
{
    /// <summary>Reads until a line begins with a word that the guest did not echo.</summary>
    /// <returns>The line.</returns>
    public static async Task<string> ReadUntilAsync(Process xm, string word)
    {
        CancellationToken cancellation = TestContext.Current.CancellationToken;
        List<string> seen = [];
        try
        {
            while (await xm.StandardOutput.ReadLineAsync(cancellation) is { } line)
            {
                seen.Add(line);
                if (line.TrimStart().StartsWith(word, StringComparison.Ordinal))
                {
                    return line.Trim();
                }
            }
        }
        catch (OperationCanceledException)
        {
            throw new TimeoutException($"'{word}' was not said in time: {string.Join('\n', seen)}");
        }

        throw new EndOfStreamException($"the console ended before '{word}': {string.Join('\n', seen)}\n{await xm.StandardError.ReadToEndAsync(cancellation)}");
    }
}
