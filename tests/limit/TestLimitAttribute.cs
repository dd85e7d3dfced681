using System.Collections.Concurrent;
using System.Globalization;
using System.Reflection;
using Xunit.v3;

namespace Shinano.Limit;

/// <summary>
/// Cancels a test that waits for what never comes, so that it fails by its name and the others still run: SHINANO_TEST_MINUTES says after how long. Without it a test
/// takes what it takes, as the long ones by name do.
/// </summary>
[AttributeUsage(AttributeTargets.Assembly)]
internal sealed class TestLimitAttribute : BeforeAfterTestAttribute
{
    private readonly ConcurrentDictionary<string, Timer> _timers = [];

    /// <inheritdoc/>
    public override void Before(MethodInfo methodUnderTest, IXunitTest test)
    {
        if (int.TryParse(Environment.GetEnvironmentVariable("SHINANO_TEST_MINUTES"), NumberStyles.None, CultureInfo.InvariantCulture, out int minutes) && minutes > 0)
        {
            _timers[test.UniqueID] = new Timer(
                static context => ((ITestContext)context!).CancelCurrentTest(), TestContext.Current, TimeSpan.FromMinutes(minutes), Timeout.InfiniteTimeSpan);
        }
    }

    /// <inheritdoc/>
    public override void After(MethodInfo methodUnderTest, IXunitTest test)
    {
        if (_timers.TryRemove(test.UniqueID, out Timer? timer))
        {
            timer.Dispose();
        }
    }
}
