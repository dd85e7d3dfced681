using System.Diagnostics;
using System.Text;

namespace Shinano.EndToEnd.Tests;

/// <summary>Types at a program and waits for what it says: a console, with all its control characters.</summary>
/// <param name="process">The program.</param>
/// <param name="patience">How long it may take in all; four minutes when it is not said.</param>
internal sealed class Conversation(Process process, TimeSpan? patience = null) : IDisposable
{
    private static readonly TimeSpan DefaultPatience = TimeSpan.FromMinutes(4);

    private readonly CancellationTokenSource _limit = new(patience ?? DefaultPatience);
    private readonly StringBuilder _said = new();
    private int _seen;

    /// <summary>Everything that was said.</summary>
    public string Said => _said.ToString();

    /// <summary>Waits until a text is said, after what was waited for before.</summary>
    public async Task<string> UntilAsync(string text)
    {
        char[] buffer = new char[4096];
        while (true)
        {
            string rest = _said.ToString(_seen, _said.Length - _seen);
            int at = rest.IndexOf(text, StringComparison.Ordinal);
            if (at >= 0)
            {
                _seen += at + text.Length;
                return rest[..at];
            }

            int count;
            try
            {
                count = await process.StandardOutput.ReadAsync(buffer, _limit.Token);
            }
            catch (OperationCanceledException)
            {
                throw new TimeoutException($"'{text}' was not said within {patience ?? DefaultPatience}: {Said}");
            }

            Assert.True(count > 0, $"it ended before '{text}' was said: {Said}\n{(count == 0 ? await process.StandardError.ReadToEndAsync(_limit.Token) : "")}");
            _said.Append(buffer, 0, count);
        }
    }

    public async Task TypeAsync(string text)
    {
        await process.StandardInput.WriteAsync(text.AsMemory(), _limit.Token);
        await process.StandardInput.FlushAsync(_limit.Token);
    }

    public async Task<int> EndAsync()
    {
        process.StandardInput.Close();
        _said.Append(await process.StandardOutput.ReadToEndAsync(_limit.Token));
        await process.WaitForExitAsync(_limit.Token);
        return process.ExitCode;
    }

    public void Dispose() => _limit.Dispose();
}
