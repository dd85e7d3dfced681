using System.Globalization;
using Shinano.Control.Api.Xend;

namespace Shinano.Cli.Xm;

/// <summary>Shows a creation as it goes, on standard error: stages with --verbose, one moving line for a person otherwise.</summary>
internal sealed class CreationProgress(XmEnvironment environment, bool verbose) : IDisposable
{
    private const string ClearLine = "\r\e[K";

    private bool _lineOpen;

    public void Observe(CreateEvent item)
    {
        if (item.Diagnostic is { IsError: false } warning)
        {
            Close();
            environment.Error.WriteLine(warning.Text);
        }

        if (item.Progress is { } progress)
        {
            if (verbose)
            {
                string elapsed = (progress.ElapsedNanoseconds / 1e9).ToString("F3", CultureInfo.InvariantCulture);
                environment.Error.WriteLine($"[{elapsed,8}] {progress.Stage}: {progress.Detail}");
            }
            else
            {
                Show($"{progress.Stage}: {progress.Detail}");
            }
        }
    }

    /// <summary>One line that the next one replaces; nothing when nobody watches.</summary>
    public void Show(string text)
    {
        if (environment.IsInteractive)
        {
            _lineOpen = true;
            environment.Error.Write($"{ClearLine}{(text.Length > 78 ? text[..78] : text)}");
        }
    }

    public void Dispose() => Close();

    private void Close()
    {
        if (_lineOpen)
        {
            environment.Error.Write(ClearLine);
            _lineOpen = false;
        }
    }
}
