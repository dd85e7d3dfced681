using System.Globalization;

namespace Shinano.Control.Daemon;

/// <summary>xend.log: a line per message. A full disk loses messages, never xend.</summary>
internal sealed class XendLog : ILoggerProvider
{
    private readonly Lock _lock = new();
    private readonly FileStream? _file;

    public XendLog(string path)
    {
        try
        {
            _file = new FileStream(path, FileMode.Append, FileAccess.Write, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Console.Error.WriteLine($"{path}: {e.Message}: nothing is logged");
        }
    }

    public ILogger CreateLogger(string categoryName) => new Logger(this, categoryName[(categoryName.LastIndexOf('.') + 1)..]);

    /// <summary>For parts without a logger of their own.</summary>
    public void Write(string category, string message) => Write(LogLevel.Information, category, message, null);

    public void Dispose() => _file?.Dispose();

    private void Write(LogLevel level, string category, string message, Exception? exception)
    {
        string line = string.Create(
            CultureInfo.InvariantCulture,
            $"[{DateTimeOffset.Now:yyyy-MM-dd HH:mm:ss.fff} {Environment.ProcessId}] {level.ToString().ToUpperInvariant()} ({category}) {message}{(exception is null ? "" : $"\n{exception}")}\n");
        try
        {
            lock (_lock)
            {
                _file?.Write(System.Text.Encoding.UTF8.GetBytes(line));
            }
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            // There is nobody left to tell.
        }
    }

    private sealed class Logger(XendLog log, string category) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Information;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (IsEnabled(logLevel))
            {
                log.Write(logLevel, category, formatter(state, exception), exception);
            }
        }
    }
}
