using System.Diagnostics;
using System.Globalization;
using Shinano.Cli.Xm;
using Shinano.Storage.Pools;

namespace Shinano.Cli.Xvol;

/// <summary>Shows how far long work is, on one moving line, to a person; nothing to a log.</summary>
internal sealed class TransferDisplay(XmEnvironment environment, string what) : IProgress<TransferProgress>, IDisposable
{
    private readonly CreationProgress _line = new(environment, verbose: false);
    private readonly Stopwatch _clock = Stopwatch.StartNew();
    private long _shown;

    public void Report(TransferProgress value)
    {
        // Short work shows nothing, and a line is not renewed more often than it can be read.
        if (_clock.ElapsedMilliseconds - _shown > 200 && value.Total > 0)
        {
            _shown = _clock.ElapsedMilliseconds;
            _line.Show(string.Create(CultureInfo.InvariantCulture, $"{what}: {value.Percent:F0} % of {ByteSize.Format(value.Total)}"));
        }
    }

    public void Dispose() => _line.Dispose();
}
